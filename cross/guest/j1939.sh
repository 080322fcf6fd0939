# Units of ours of J1939 that are asked, by connections and broadcasts.
bus vcan5
ecu engine vcan5 --j1939 0 --vin WRLZZZSVH00000002 --spn 94-18 \
    --previous-spn 100-1 --previous-spn 110-16 --previous-spn 111-18
engine=$ecu
# Five faults: DM1 itself is a broadcast of many frames.
ecu brakes vcan5 --j1939 11 --vin WRLZZZSVH00000002 --spn 790-1 --spn 791-1 --spn 792-1 --spn 793-1 --spn 794-1
brakes=$ecu
ask_j1939 9465 vcan5
# Both units answer the request for the VIN, which went to everyone; DM1 of the brakes comes by
# broadcast, DM2 of the engine by connection.
answered_j1939 9465 WRLZZZSVH00000002
# Of six faults that are there and three that were, a freeze frame each (DM4).
eventually is_counted 9465 'roadlake_edge_fault_events_total{event="change"}' 9
await asks.log 'told its identity.*ecu="engine-1 (SA 0)"'
await asks.log 'told its identity.*ecu="brakes (SA 11)"'
stop_agent
stop $engine
stop $brakes
