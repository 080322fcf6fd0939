# CAN FD frames, with the kernel's filter: one that is wanted, 8800 in its last two bytes, and one
# that is not.
bus vcan3
zeros=00000000000000000000000000000000000000000000000000000000000000
i=0
while [ $i -lt 50 ]; do
    echo "($((i / 10)).$((i % 10))00000) vcan3 123##1${zeros}${zeros}6022"
    echo "($((i / 10)).$((i % 10))50000) vcan3 124##1${zeros}${zeros}6022"
    i=$((i + 1))
done > fd.candump
agent_of fd 9463 vcan3 << 'TOML'
filter = true
TOML
edge-agent play fd.candump --can vcan3 --speed flat 2> play.log || fail "playing"
eventually is_read 9463 50
eventually is_shown 9463 Vehicle.AverageSpeed
check "speed in the last bytes of 64, km/h" "$(shown 9463 Vehicle.AverageSpeed)" 88
stop_agent
check "FD frames counted" "$(field fd.log frames)" 50
