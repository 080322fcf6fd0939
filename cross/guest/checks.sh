# The steps that the parts share.
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
        sleep 0.1
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
counted() { # port, metric: with its labels, or the sum over them
    wget -q -O - "http://127.0.0.1:$1/metrics" |
        awk -v metric="$2" 'index($0, metric) == 1 && substr($0, length(metric) + 1, 1) ~ /[ {]/ { sum += $NF }
            END { printf "%d\n", sum }'
}
is_counted() { # port, metric, least
    [ "$(counted "$1" "$2")" -ge "$3" ]
}
is_read() { # port, frames: as many were read or lost
    [ $(($(counted "$1" roadlake_edge_frames_total) + $(counted "$1" roadlake_edge_lost_frames_total))) -ge "$2" ]
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
}
stop() { # process
    kill -TERM "$1"
    wait "$1"
}
awake() { # bus: a node that says something every second, as on a bus that is awake
    while cansend "$1" 100#010203; do sleep 1; done 2> /dev/null &
    awake=$!
}
