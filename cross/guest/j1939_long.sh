# More than 1785 bytes, which go by the extended transport protocol (J1939-21, 5.11): the kernel's
# to ours, and ours to the kernel's.
UNIT_NAME=1000030000000005  # a transmission, on a road vehicle
COUNT=450                   # faults: 1802 bytes
many=many
i=0
printf '04ff' > many.hex
while [ $i -lt $COUNT ]; do
    # SPN 256 and on, FMI 1, once.
    printf '%02x%02x0101' $((i % 256)) $((1 + i / 256)) >> many.hex
    many="$many --previous-spn $((256 + i))-1"
    i=$((i + 1))
done
xxd -r -p many.hex > sent

echo "guest: the kernel tells $COUNT faults"
bus vcan12
record vcan12 unit.candump
ask_j1939 9472 vcan12
j1939acd -r 90 -c unit.jacd $UNIT_NAME vcan12 > unit.log 2>&1 &
unit=$!
awake vcan12
eventually grep -q ' 18EEFF5A#' unit.candump
eventually grep -q ' 18EEFF25#' unit.candump
j1939cat -i sent "vcan12:90,,0x$UNIT_NAME" ":37,0xfecb" 2> sender.log
await unit.candump ' 1CC85A25#17'
eventually is_counted 9472 'roadlake_edge_fault_events_total{event="seen"}' $COUNT
check "faults of one message" "$(counted 9472 'roadlake_edge_fault_events_total{event="seen"}')" $COUNT
at_least "parts, as the agent granted them" "$(grep -c ' 1CC85A25#15' unit.candump)" 2
stop_agent
stop $awake
stop $unit
stop $dump

echo "guest: the kernel asks a unit of ours with as many"
bus vcan13
record vcan13 asked.candump
# shellcheck disable=SC2086 # a list of arguments
ecu ours vcan13 --j1939 0 ${many#many}
eventually grep -q ' 18EEFF00#' asked.candump
printf '\xcb\xfe\x00' > request
j1939cat -r vcan13:128 > taken 2> taken.log &
taker=$!
is_asked_and_taken() {
    has asked.candump ' 1[8C]C80080#17' || j1939cat -i request vcan13:128 :0,0xea00
    sleep 2
    [ "$(wc -c < taken)" -ge "$(wc -c < sent)" ]
}
eventually is_asked_and_taken
check "$COUNT faults, as the kernel took them" "$(head -c "$(wc -c < sent)" taken | tail -c +3 | md5sum)" "$(tail -c +3 sent | md5sum)"
at_least "parts, as the kernel granted them" "$(grep -c ' 1[8C]C80080#15' asked.candump)" 2
stop $taker
stop $ecu
stop $dump
