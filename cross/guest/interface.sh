# The interface goes down and comes back, then is gone and comes back.
bus vcan1
agent_on down 9461 vcan1
ip link set vcan1 down
await down.log 'interface is down'
ip link set vcan1 up
edge-agent play /data/first60s.blf --can vcan1 --speed flat 2> play.log || fail "playing"
await down.log 'interface is up again'
eventually is_read 9461 $FRAMES
ip link del vcan1
await down.log 'interface lost'
bus vcan1
await down.log 'CAN interface opened' 2
edge-agent play /data/first60s.blf --can vcan1 --speed flat 2>> play.log || fail "playing"
eventually is_read 9461 $((2 * FRAMES))
stop_agent
check "frames after an interface was down, and gone" $(($(field down.log frames) + $(field down.log lost))) $((2 * FRAMES))
