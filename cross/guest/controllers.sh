# Two controllers on one bus: the driver's path, its queue and its filter, not a virtual interface.
ip=/usr/bin/ip # busybox's own, which its shell prefers, knows no bit rates
for interface in can0 can1; do
    $ip link set $interface up type can bitrate 500000 restart-ms 100 || fail "$interface up"
done
agent_of bus 9470 can0 << 'TOML'
filter = true
TOML
i=0
while [ $i -lt 300 ]; do # one of three is in the DBC file
    echo "($((i / 100)).$((i % 100 / 10))00000) can0 600#0102030405060708"
    echo "($((i / 100)).$((i % 100 / 10))00000) can0 123#0D58"
    echo "($((i / 100)).$((i % 100 / 10))00000) can0 17F00010#01"
    i=$((i + 1))
done > known.candump
edge-agent play known.candump --can can1 --speed flat 2> play.log || fail "playing"
eventually is_read 9470 300
stop_agent
check "frames by a controller, through the kernel's filter" \
    "$(field bus.log frames) and lost $(field bus.log lost)" "300 and lost 0"
# The controllers' own counts: each frame was sent once and received once.
count() { cat "/sys/class/net/$1/statistics/$2"; }
check "frames sent on can1" "$(count can1 tx_packets)" 900
check "frames received on can0" "$(count can0 rx_packets)" 900
echo "guest: $($ip -details link show can0 | grep -o 'can state [A-Z-]*'), $(count can0 rx_over_errors) overruns"
