# What was recorded, at its own speed; and the same log by replay.
bus vcan2
agent_on live 9462 vcan2
edge-agent play /data/first60s.blf --can vcan2 2> play.log || fail "playing"
eventually is_read 9462 $FRAMES
stop_agent
check "frames counted at their own speed" "$(field live.log frames)" $FRAMES
check "frames lost" "$(field live.log lost)" 0
agent replay 9462 --replay /data/first60s.blf --speed flat
await replay.log 'source has ended'
stop_agent
live=$(field live.log collected)
replayed=$(field replay.log collected)
echo "guest: samples collected live $live, by replay $replayed"
# Whole seconds begin elsewhere in the recording than in the play.
at_least "samples of live in percent of the replay's" $((live * 100 / (replayed + 1))) 95
