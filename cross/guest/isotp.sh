# The kernel's own ISO-TP against ours: as the control unit that the agent asks, and as the tester
# that asks a control unit of ours. `isotpserver` of can-utils ties a socket of the kernel's
# ISO-TP to a TCP connection that says <hexadecimal>; what talks there are the scripts below.
converse() { # port, script: once the server listens
    eventually nc 127.0.0.1 "$1" -e "$2" > /dev/null &
}

echo "guest: the kernel as a control unit"
bus vcan6
cat > unit << 'SH'
#!/bin/sh
. /guest/checks.sh
while read -r -d '>' request; do
    request=${request#<}
    case $request in
        0100) answer=410008180000 ;;
        0105) answer=41057B ;;
        010C) answer=410C1AF8 ;;
        010D) answer=410D58 ;;
        0900) answer=490050400000 ;;
        0902) answer=490201$(hex WRLZZZSVH00000003) ;;
        0904) answer=490401$(hex KERNEL-ISO-TP-01) ;;
        090A) answer=490A01$(hex ECM-EngineControl)000000 ;;
        03) answer=43050171017203000420C100 ;;
        07) answer=4700 ;;
        0A) answer=4A00 ;;
        020200) answer=4202000171 ;;
        020000) answer=42000008000000 ;;
        020500) answer=4205007B ;;
        *) answer=7F$(echo "$request" | cut -c1-2)12 ;;
    esac
    printf '<%s>' "$answer"
done
SH
chmod +x unit
isotpserver -l 7001 -s 7E8 -d 7E0 -p AA:CC vcan6 > server.log 2>&1 &
physical=$!
isotpserver -l 7002 -s 7E8 -d 7DF -p AA:CC vcan6 >> server.log 2>&1 &
functional=$!
converse 7001 ./unit
converse 7002 ./unit
record vcan6 unit.candump
ask_obd 9466 vcan6
answered_obd 9466 WRLZZZSVH00000003
await asks.log 'told its identity.*KERNEL-ISO-TP-01'
await asks.log 'told its identity.*ECM-EngineControl'
stop_agent
stop $awake
stop $dump
stop $physical
stop $functional
# The agent may have been stopped after a first frame: up to its last flow control each has one.
at_least "flow controls of the agent" "$(grep -c ' 7E0#30' unit.candump)" 5
check "first frames of the kernel since the flow control before, at each" \
    "$(awk '$3 ~ /^7E8#1/ { first++ } $3 ~ /^7E0#30/ { print first + 0; first = 0 }' unit.candump | sort -u)" 1

echo "guest: the kernel as a control unit, in CAN FD frames"
bus vcan11
cat > unit_fd << 'SH'
#!/bin/sh
while read -r -d '>' request; do
    request=${request#<}
    case $request in
        # 64 bytes with 8800 in the last two, as the file of messages has them: 88 %.
        22F1A0) answer=62F1A0$(printf '00%.0s' $(seq 59))6022 ;;
        # Twelve codes that are confirmed: a message of 51 bytes, which fits in one frame here; then of 99.
        1902*) answer=5902FF$(printf '0171002F%.0s' $(seq "$(cat codes)")) ;;
        3E*) answer=7E00 ;;
        *) answer=7F$(echo "$request" | cut -c1-2)12 ;;
    esac
    printf '<%s>' "$answer"
done
SH
chmod +x unit_fd
echo 12 > codes
isotpserver -l 7006 -s 7EC -d 7E4 -L 72:64:0 -p AA:CC vcan11 >> server.log 2>&1 &
server=$!
converse 7006 ./unit_fd
record vcan11 unit_fd.candump
agent_of asksfd 9471 vcan11 << TOML
[poll]
enabled = true
interface = "vcan11"
[[poll.ecu]]
name = "bms"
request_id = 0x7E4
response_id = 0x7EC
fd = true
faults_every = "2s"
[[poll.did]]
ecu = "bms"
did = 0xF1A0
frame_id = 0x1FFFF110
period = "1s"
TOML
awake vcan11
charge=Vehicle.Powertrain.TractionBattery.StateOfCharge.Current
eventually is_shown 9471 $charge
check "charge in the last bytes of 64 of an identifier, %" "$(shown 9471 $charge)" 88
eventually is_counted 9471 'roadlake_edge_fault_reports_total{protocol="uds"}' 2
echo 24 > codes
# 99 bytes: a first frame, granted in a frame of FD, and the rest.
eventually grep -q ' 7E4##[0-9A-F]30' unit_fd.candump
eventually is_counted 9471 'roadlake_edge_fault_reports_total{protocol="uds"}' 6
check "exchanges that failed" "$(counted 9471 'roadlake_edge_polled_requests_total{outcome="failed"}')" 0
stop_agent
stop $awake
stop $dump
stop $server
check "requests in classic frames" "$(grep -c ' 7E4#[^#]' unit_fd.candump)" 0
at_least "requests in FD frames" "$(grep -c ' 7E4##' unit_fd.candump)" 5

echo "guest: the kernel as a tester"
repeated() { # count, text
    i=0
    while [ $i -lt "$1" ]; do
        printf %s "$2"
        i=$((i + 1))
    done
}
# The longest message there is in 12 bits is 4095 bytes: service, identifier, and this.
long=$(repeated 1023 5AA50FF0)
short=$(repeated 30 C3)
tester() { # name, port, bus, what is asked...: as a script; and what is to be answered, line by line
    name=$1 port=$2
    shift 3
    {
        echo '#!/bin/sh'
        echo 'ask() { printf "<%s>" "$1"; read -r -t 20 -d ">" answer; echo "${answer#<}" >> '"$name"'.answers; }'
        for request in "$@"; do echo "ask $request"; done
        echo "touch $name.done"
    } > "$name"
    chmod +x "$name"
    converse "$port" "./$name"
    eventually test -e "$name.done"
}
# The least time between two consecutive frames of an id in a row, in milliseconds.
gap_ms() { # candump, id
    awk -v id="$2" '{ split($3, said, "#"); t = substr($1, 2) + 0; is = said[1] == id && said[2] ~ /^2/ }
        is && was { gap = (t - last) * 1000; if (least == "" || gap < least) least = gap }
        { was = is; last = t }
        END { printf "%d\n", least == "" ? -1 : least }' "$1"
}
bus vcan7
ecu ecu vcan7 --vin WRLZZZSVH00000004 --did F190=0102 --did "F1A0=$short" --did "0200=$long" \
    --block-size 3 --st-min 5
record vcan7 tester.candump
# Our answers as the kernel grants them: two frames at a time, 10 ms apart.
isotpserver -l 7003 -s 7E0 -d 7E8 -p CC:AA -b 2 -m 0A vcan7 >> server.log 2>&1 &
server=$!
# The second request is of 81 bytes: granted by us, three frames at a time and 5 ms apart.
tester asked 7003 vcan7 0902 "22$(repeated 40 F190)" 22F1A0 22F199
{
    echo "490201$(hex WRLZZZSVH00000004)"
    echo "62$(repeated 40 F1900102)"
    echo "62F1A0$short"
    echo 7F2231
} > expected
check "answers as the kernel took them" "$(cat asked.answers)" "$(cat expected)"
stop $server
stop $dump
at_least "ms between our frames, where the kernel asks for 10" "$(gap_ms tester.candump 7E8)" 10
# The kernel's timer counts from when it sends, a stamp is when it was sent.
at_least "ms between the kernel's frames, where we ask for 5" "$(gap_ms tester.candump 7E0)" 4
check "flow controls of ours, of blocks of 3" "$(grep -c ' 7E0#2' tester.candump):$(grep -c ' 7E8#3003' tester.candump)" 11:4
isotpserver -l 7004 -s 7E0 -d 7E8 -p CC:AA vcan7 >> server.log 2>&1 &
server=$!
tester whole 7004 vcan7 220200
check "4095 bytes, as the kernel took them" "$(md5sum < whole.answers)" "$(echo "620200$long" | md5sum)"
stop $server
stop $ecu

echo "guest: the kernel as a tester, in CAN FD frames"
bus vcan8
ecu fd vcan8 --fd --vin WRLZZZSVH00000005 --did "F1A0=$short" --did "0200=$long"
record vcan8 fd.candump
isotpserver -l 7005 -s 7E0 -d 7E8 -L 72:64:0 -p CC:AA vcan8 >> server.log 2>&1 &
server=$!
tester wide 7005 vcan8 0902 22F1A0 220200 "22$(repeated 40 F1A0)"
{
    echo "490201$(hex WRLZZZSVH00000005)"
    echo "62F1A0$short"
    echo "620200$long"
    echo "62$(repeated 40 "F1A0$short")"
} > expected
stop $server
stop $dump
stop $ecu
check "answers in FD frames, as the kernel took them" "$(md5sum < wide.answers)" "$(md5sum < expected)"
at_least "FD frames of ours" "$(grep -c ' 7E8##' fd.candump)" 70
