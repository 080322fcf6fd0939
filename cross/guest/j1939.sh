# Units of ours of J1939 that are asked, by connections and broadcasts.
bus vcan5
edge-agent ecu --can vcan5 --j1939 0 --spn 94-18 --previous-spn 100-1 --previous-spn 110-16 --previous-spn 111-18 \
    > engine.log 2>&1 &
engine=$!
# Five faults: DM1 itself is a broadcast of many frames.
edge-agent ecu --can vcan5 --j1939 11 --spn 790-1 --spn 791-1 --spn 792-1 --spn 793-1 --spn 794-1 \
    > brakes.log 2>&1 &
brakes=$!
agent_of truck 9465 vcan5 << 'TOML'
[poll]
enabled = true
interface = "vcan5"
[poll.j1939]
faults_every = "5s"
TOML
await truck.log 'told its identity.*WRLZZZSVH00000002'
eventually is_counted 9465 'roadlake_edge_polled_requests_total{outcome="positive"}' 7
# Both units answer a request that went to everyone.
at_least "VIN told by units" "$(grep -c 'told its identity.*WRLZZZSVH00000002' truck.log)" 1
# DM1 of the brakes and DM2 of the engine, by broadcast and by connection.
at_least "long messages whole" "$(counted 9465 'roadlake_edge_j1939_sessions_total{outcome="completed"}')" 8
check "long messages lost" "$(counted 9465 'roadlake_edge_j1939_sessions_total{outcome="lost_packet"}')" 0
at_least "fault lists asked for" "$(counted 9465 'roadlake_edge_fault_reports_total{protocol="j1939"}')" 4
stop $agent
stop $engine
stop $brakes
