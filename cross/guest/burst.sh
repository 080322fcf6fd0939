# A burst, as fast as frames can be sent: every frame is counted, read or lost.
bus vcan0
agent_on burst 9460 vcan0
edge-agent play /data/first60s.blf --can vcan0 --speed flat 2> play.log || fail "playing"
eventually is_read 9460 $FRAMES
stop_agent
check "frames of a burst, counted and lost" $(($(field burst.log frames) + $(field burst.log lost))) $FRAMES
echo "guest: of them lost: $(field burst.log lost)"
