# The kernel's own J1939 against ours: as the unit that the agent asks, and as the one that asks a
# unit of ours. `j1939acd` claims and defends an address, `j1939cat` is a socket of the kernel's
# transport protocol, which cuts, grants, repeats and joins by itself.
AGENT_NAME=80001c0000000007 # an off-vehicle gateway with identity number 7
UNIT_NAME=1000030000000005  # a transmission, on a road vehicle
bytes() { # file: what the kernel sent or took, as hexadecimal
    xxd -p "$1" | tr -d '\n'
}

echo "guest: the kernel as a unit of J1939"
bus vcan9
record vcan9 unit.candump
ask_j1939 9468 vcan9
j1939acd -r 90 -c unit.jacd $UNIT_NAME vcan9 > unit.log 2>&1 &
unit=$!
# Bytes 0 to 5, lamps and four a fault: SPN 100 FMI 1, SPN 110 FMI 16, SPN 111 FMI 18.
printf '\x04\xff\x64\x00\x01\x01\x6e\x00\x10\x01\x6f\x00\x12\x01' > dm1
# SPN 94 FMI 18, SPN 790 FMI 1.
printf '\x04\xff\x5e\x00\x12\x02\x16\x03\x01\x01' > dm2
printf 'WRLZZZSVH00000006*' > vin
awake vcan9
# To all, so announced and not granted: every second, as a unit does.
while sleep 1; do j1939cat -B -i dm1 "vcan9:90,,0x$UNIT_NAME" :255,0xfeca; done 2> dm1.log &
tells=$!
# What it is asked for, by name or of all, it answers to the agent alone: by a connection.
candump -L vcan9,18EA0000:1FFF0000 | while read -r _ _ frame; do
    case $frame in
        18EA5A25#CBFE00*) j1939cat -i dm2 "vcan9:90,,0x$UNIT_NAME" :37,0xfecb ;;
        18EAFF25#ECFE00*) j1939cat -i vin "vcan9:90,,0x$UNIT_NAME" :37,0xfeec ;;
    esac
done 2> answers.log &
answers=$!
await asks.log 'told its identity.*ecu="transmission-1 (SA 90)".*WRLZZZSVH00000006'
# DM1 by broadcast and DM2 by connection: five faults.
eventually is_counted 9468 'roadlake_edge_fault_events_total{event="seen"}' 5
answered_j1939 9468 WRLZZZSVH00000006
# Connections the agent granted, and those it acknowledged whole.
await unit.candump ' 1CEC5A25#11' 2
await unit.candump ' 1CEC5A25#13' 2

echo "guest: one with a lower NAME takes the agent's address"
j1939acd -r 37 -c lower.jacd 1000010000000001 vcan9 > lower.log 2>&1 &
lower=$!
# It claims another, and asks from there; the kernel knows it by its NAME.
eventually grep -q ' 18EEFF80#07000000001C0080' unit.candump
printf '\xec\xfe\x00' > request
eventually grep -q ' 18EA5A80#CBFE00' unit.candump
# This j1939cat fails on notices that newer kernels add to: what counts is on the bus.
is_sent_by_name() {
    j1939cat -i request "vcan9:90,,0x$UNIT_NAME" ":,0xea00,0x$AGENT_NAME"
    has unit.candump ' 18EA805A#ECFE00'
}
eventually is_sent_by_name && echo "guest: the kernel's book of NAMEs has the agent on its new address"
stop $tells
stop $answers
stop_agent
stop $awake
stop $lower
stop $unit
stop $dump

echo "guest: the kernel asks a unit of ours"
bus vcan10
record vcan10 asked.candump
ecu ours vcan10 --j1939 0 --vin WRLZZZSVH00000007 --spn 94-18 --spn 95-1 --spn 96-2 \
    --previous-spn 100-1 --previous-spn 110-16 --previous-spn 111-18
eventually grep -q ' 18EEFF00#' asked.candump
printf '\xcb\xfe\x00' > request.dm2
printf '\xec\xfe\x00' > request.vin
is_answered() { # what: asks by the kernel's stack, and waits for what it took
    j1939cat -i "request.$1" vcan10:128 :0,0xea00
    tries_here=0
    until [ -s "$1.taken" ] || [ $tries_here -ge 20 ]; do
        tries_here=$((tries_here + 1))
        sleep 0.1
    done
    [ -s "$1.taken" ]
}
take() { # what
    j1939cat -r vcan10:128 > "$1.taken" 2>> taken.log &
    taker=$!
    eventually is_answered "$1"
    stop $taker
}
take dm2
check "DM2 by connection, as the kernel took it" "$(bytes dm2.taken | tail -c 24)" 640001016e0010016f001201
take vin
check "VIN by connection, as the kernel took it" "$(cat vin.taken)" 'WRLZZZSVH00000007*'
# Connections the kernel granted, and those it acknowledged whole.
await asked.candump ' 1[8C]EC0080#11' 2
await asked.candump ' 1[8C]EC0080#13' 2
j1939cat -B -r "vcan10:128" > all 2>> taken.log &
taker=$!
is_broadcast_taken() { bytes all | grep -q '5e001201.*5f000101.*60000201'; }
eventually is_broadcast_taken
check "DM1 by broadcast, as the kernel took it" "$(bytes all | grep -c '5e001201.*5f000101.*60000201')" 1
stop $taker
stop $ecu
stop $dump
