# A control unit of ours that is asked by OBD-II over ISO-TP.
bus vcan4
edge-agent ecu --can vcan4 --pid 05=7B --pid 0C=1AF8 --pid 0D=58 --fault P0171 > ecu.log 2>&1 &
ecu=$!
agent_of asks 9464 vcan4 << 'TOML'
[poll]
enabled = true
interface = "vcan4"
obd_faults_every = "5s"
[[poll.obd]]
pids = [0x05, 0x0C, 0x0D]
period = "1s"
TOML
await asks.log 'CAN interface opened'
awake vcan4
eventually is_counted 9464 'roadlake_edge_polled_requests_total{outcome="positive"}' 30
eventually is_counted 9464 'roadlake_edge_fault_reports_total{protocol="obd"}' 3
check "speed it was asked for, km/h" "$(shown 9464 Vehicle.Speed)" 88
check "engine speed, rpm" "$(shown 9464 Vehicle.Powertrain.CombustionEngine.Speed)" 1726
# Over several frames: first frame, flow control, consecutive frames.
check "VIN told" "$(grep -c 'told its identity.*WRLZZZSVH00000001' asks.log)" 1
stop $ecu
stop $awake
stop $agent
