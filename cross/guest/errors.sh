# What a controller reports of its bus, as error frames in the agent's own socket. No controller of
# QEMU's fails, so the reports are put on the bus as a driver would put them (linux/can/error.h).
bus vcan11
agent_of reported 9469 vcan11 << 'TOML'
filter = true
TOML
events() { counted 9469 "roadlake_edge_bus_events_total{kind=\"$1\"}"; }
are() { [ "$(events "$1")" = "$2" ]; }
out() { [ "$(counted 9469 roadlake_edge_interfaces_out)" = "$1" ]; }
echo "guest: error-passive, bus-off, restarted"
cansend vcan11 20000004#0020000000000000
eventually are error_passive 1
cansend vcan11 20000040#0000000000000000
eventually are bus_off 1
eventually out 1
cansend vcan11 20000100#0000000000000000
eventually are restarted 1
eventually out 0
echo "guest: bus-off again, and someone takes the interface down and up instead"
cansend vcan11 20000040#0000000000000000
eventually are bus_off 2
eventually out 1
ip link set vcan11 down
await reported.log 'interface is down'
ip link set vcan11 up
cansend vcan11 123#00 # which the filter lets through
await reported.log 'interface is up again'
eventually out 0
cansend vcan11 20000040#0000000000000000
eventually are bus_off 3
# The report that it is back is lost: what comes later says so too.
back() { cansend vcan11 123#00 && out 0; }
eventually back
cansend vcan11 20000004#0001000000000000
eventually is_counted 9469 'roadlake_edge_lost_frames_total{reason="controller"}' 1
stop_agent
check "bus-offs told" "$(grep -c 'CAN controller is bus-off' reported.log)" 3
at_least "data frames counted" "$(field reported.log frames)" 3
