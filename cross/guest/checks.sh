# The steps that the parts share. Seconds are the guest's, which go by what it computes: however
# slow the machine below, a limit here means the same.
failed=0
FRAMES=5599 # of /data/first60s.blf

fail() { # what
    echo "guest: FAILED $1"
    failed=1
}
check() { # what, is, should be
    if [ "$2" = "$3" ]; then echo "guest: $1: $2"; else fail "$1: $2, not $3"; fi
}
at_least() { # what, is, least
    if [ "${2:-0}" -ge "$3" ] 2> /dev/null; then echo "guest: $1: $2"; else fail "$1: $2, less than $3"; fi
}
hex() { # text
    printf %s "$1" | xxd -p | tr a-f A-F | tr -d '\n'
}
now() { # in seconds since boot, as $seconds
    read -r seconds _ < /proc/uptime
    seconds=${seconds%.*}
}
eventually() { # command: until it succeeds, for two minutes at most
    now
    until=$((seconds + 120))
    until "$@" 2> /dev/null; do
        now
        [ "$seconds" -lt $until ] || { fail "waiting for: $*"; return 1; }
        sleep 0.5
    done
}
has() { # log, text, least times
    [ "$(grep -c "$2" "$1")" -ge "${3:-1}" ]
}
await() { # log, text, least times: until the log has it
    eventually has "$@"
}
bus() { # name: a virtual one, with room for FD frames
    ip link add dev "$1" type vcan && ip link set "$1" mtu 72 && ip link set "$1" up
}
# The number behind a field of the last line of a log that tells what was counted.
field() { # log, field
    tr -d '\033' < "$1" | sed 's/\[[0-9;]*m//g' | sed -n "/agent stopped/s/.* $2=\([0-9]*\).*/\1/p"
}
state() { # port: what the agent there shows of itself
    wget -q -O - "http://127.0.0.1:$1/v1/state"
}
shown() { # port, signal: its latest value, whole
    state "$1" | tr '{' '\n' | grep -F "\"$2\"" | sed -n 's/.*"value":\([0-9]*\).*/\1/p' | head -n 1
}
is_shown() { # port, signal
    [ -n "$(shown "$1" "$2")" ]
}
metrics() { # port: the page; numbers that are held against each other come from one
    wget -q -O - "http://127.0.0.1:$1/metrics"
}
sum() { # metric: with its labels, or the sum over them, of the page on standard input
    awk -v metric="$1" 'index($0, metric) == 1 && substr($0, length(metric) + 1, 1) ~ /[ {]/ { sum += $NF }
        END { printf "%d\n", sum }'
}
counted() { # port, metric
    metrics "$1" | sum "$2"
}
is_counted() { # port, metric, least
    [ "$(counted "$1" "$2")" -ge "$3" ]
}
is_read() { # port, frames: as many were read or lost
    page=$(metrics "$1")
    [ $(($(echo "$page" | sum roadlake_edge_frames_total) + $(echo "$page" | sum roadlake_edge_lost_frames_total))) -ge "$2" ]
}
agent() { # name, port, further arguments: with the recorded car's files; in the background
    name=$1
    shift
    ROADLAKE_EDGE_AGENT__UNIT__LISTEN=127.0.0.1:$1
    export ROADLAKE_EDGE_AGENT__UNIT__LISTEN
    shift
    edge-agent run --vehicle guest-1 --spool "$name" --broker 127.0.0.1:9 \
        --dbc /data/OBD-v4.4.dbc --dbc /data/canmod-gps.dbc --map /data/css-car-obd-gnss.toml "$@" > "$name.log" 2>&1 &
    agent=$!
}
agent_on() { # name, port, bus: listens
    agent "$1" "$2" --can "$3"
    await "$1.log" 'CAN interface opened'
}
agent_of() { # name, port, bus: with a file of one message; more of its configuration from standard input
    cat - > "$1.toml" << TOML
version = 1
vehicle_id = "$1"
spool_folder = "$PWD/$1"
dbc_files = ["/data/wide.dbc"]
map_files = ["/data/wide.toml"]
[uplink]
broker = "127.0.0.1:9"
[unit]
listen = "127.0.0.1:$2"
[source]
kind = "socketcan"
interfaces = ["$3"]
TOML
    cat >> "$1.toml"
    edge-agent run --config "$1.toml" > "$1.log" 2>&1 &
    agent=$!
    await "$1.log" 'CAN interface opened'
}
stop() { # process
    kill -TERM "$1"
    wait "$1" 2> /dev/null
} 2> /dev/null # what the shell says of a process that ended by a signal
stop_agent() { # which ends as it should; and what it took
    taken=$(awk '{ sub(/.*\) /, ""); print ($12 + $13) * 10 }' "/proc/$agent/stat")
    most=$(awk '/^VmHWM/ { print $2 }' "/proc/$agent/status")
    stop "$agent" || fail "the agent ended with status $?"
    echo "guest: the agent took $taken ms of the processor and $most kB of memory"
}
awake() { # bus: a node that says something every second, as on a bus that is awake
    while cansend "$1" 100#010203; do sleep 1; done 2> /dev/null &
    awake=$!
}
receivers() { # bus: of all that is on it
    grep -c "^ *$1 .* raw" /proc/net/can/rcvlist_all
}
are_receivers() { # bus, count
    [ "$(receivers "$1")" = "$2" ]
}
record() { # bus, file: all that is on the bus from now on
    listening=$(receivers "$1")
    candump -L "$1" > "$2" &
    dump=$!
    eventually are_receivers "$1" $((listening + 1))
}
ecu() { # name, bus, further arguments: control units of ours, that answer
    name=$1 bus=$2
    shift 2
    edge-agent ecu --can "$bus" "$@" > "$name.log" 2>&1 &
    ecu=$!
    await "$name.log" answering
}

# What is the same whether a unit is ours or the kernel's.
ask_obd() { # port, bus: an agent that asks three values each second, and for codes
    agent_of asks "$1" "$2" << TOML
[poll]
enabled = true
interface = "$2"
obd_faults_every = "3s"
[[poll.obd]]
pids = [0x05, 0x0C, 0x0D]
period = "1s"
TOML
    awake "$2"
}
answered_obd() { # port, VIN: by a unit that goes at 88 km/h
    # The VIN is of 20 bytes: first frame, flow control, consecutive frames.
    await asks.log "told its identity.*$2"
    # Confirmed, pending and permanent codes, twice.
    eventually is_counted "$1" 'roadlake_edge_fault_reports_total{protocol="obd"}' 6
    eventually is_counted "$1" 'roadlake_edge_polled_requests_total{outcome="positive"}' 30
    eventually is_shown "$1" Vehicle.Speed
    eventually is_shown "$1" Vehicle.Powertrain.CombustionEngine.Speed
    check "speed it was asked for, km/h" "$(shown "$1" Vehicle.Speed)" 88
    check "engine speed, rpm" "$(shown "$1" Vehicle.Powertrain.CombustionEngine.Speed)" 1726
    check "exchanges that failed" "$(counted "$1" 'roadlake_edge_polled_requests_total{outcome="failed"}')" 0
    check "VIN told" "$(grep -c "told its identity.*$2" asks.log)" 1
}
ask_j1939() { # port, bus: an agent that asks units of J1939 by identity number 7
    agent_of asks "$1" "$2" << TOML
[poll]
enabled = true
interface = "$2"
[poll.j1939]
identity_number = 7
faults_every = "2s"
TOML
}
answered_j1939() { # port, VIN: by broadcasts and connections
    await asks.log "told its identity.*$2"
    sessions='roadlake_edge_j1939_sessions_total'
    eventually is_counted "$1" "$sessions{outcome=\"completed\"}" 8
    eventually is_counted "$1" 'roadlake_edge_fault_reports_total{protocol="j1939"}' 4
    eventually is_counted "$1" 'roadlake_edge_polled_requests_total{outcome="positive"}' 7
    page=$(metrics "$1")
    whole=$(echo "$page" | sum "$sessions{outcome=\"completed\"}")
    echo "guest: long messages, whole: $whole"
    check "of them lost, late or ended otherwise" $(($(echo "$page" | sum $sessions) - whole)) 0
}
