# A unit as it is in a vehicle: its spool on a disk, its broker over TLS behind a network. cross/test-uplink
# makes the disk with certificates on it, boots this twice on it, and holds the lake against what it tells.
word() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
mkdir -p /disk
mount -t ext4 -o commit=900 /dev/vda /disk || fail "mounting the disk"
# What nobody asks to have on the disk is not brought there before the power goes.
echo 0 > /proc/sys/vm/dirty_writeback_centisecs
connect() {
    ip link set eth0 up
    ip addr add 10.0.2.15/24 dev eth0 2> /dev/null
    ip route add default via 10.0.2.2 2> /dev/null
}
bus vcan0
connect

unit() { # vehicle, port: its agent, in the background
    cat > "/disk/$1.toml" << TOML
version = 1
vehicle_id = "$1"
spool_folder = "/disk/$1"
dbc_files = ["/data/OBD-v4.4.dbc", "/data/canmod-gps.dbc"]
map_files = ["/data/css-car-obd-gnss.toml"]
[source]
kind = "socketcan"
interfaces = ["vcan0"]
[collect]
batch_interval = "2s"
[spool]
sync = "always"
[uplink]
broker = "$(word broker)"
resend_after = "5s"
ca_file = "/disk/ca.pem"
cert_file = "/disk/$1.pem"
key_file = "/disk/$1-key.pem"
[unit]
listen = "127.0.0.1:$2"
TOML
    edge-agent run --config "/disk/$1.toml" >> "$1.log" 2>&1 &
    agent=$!
}
waiting() { # port: batches without a durable ack
    counted "$1" roadlake_edge_spool_batches
}
is_waiting() { # port, least
    [ "$(waiting "$1")" -ge "$2" ]
}
is_drained() { # port
    [ "$(waiting "$1")" = 0 ]
}
opened() { # vehicle, times
    await "$1.log" 'CAN interface opened' "$2"
}

first_boot() {
    record vcan0 /disk/bus.log
    unit steady 9471
    steady=$agent
    opened steady 1
    unit struck 9472
    opened struck 1
    edge-agent play /data/first60s.blf --can vcan0 2> play.log &
    play=$!
    eventually is_counted 9472 roadlake_edge_acked_batches_total 3
    kill -9 $agent
    wait $agent 2> /dev/null
    unit struck 9472
    opened struck 2
    # The network goes for a while: what is collected then waits, and goes out after it.
    ip link set eth0 down
    eventually is_waiting 9471 4
    connect
    eventually is_drained 9471
    wait $play || fail "playing"
    eventually is_read 9471 $FRAMES
    # Its end brings the last open batch into the spool, and the next start brings that out.
    agent=$steady
    stop_agent
    kill -TERM $dump
    wait $dump
    check "frames the undisturbed agent counted" "$(field steady.log frames)" $FRAMES
    check "frames on the bus" "$(wc -l < /disk/bus.log)" $FRAMES
    check "frames lost" "$(field steady.log lost)" 0
    unit steady 9471
    opened steady 2
    eventually is_drained 9471
    stop_agent
    eventually is_drained 9472
    # What the power cut is to find: batches that nobody has been sent, and no more of the file than its name.
    sync
    ip link set eth0 down
    edge-agent play /data/first60s.blf --can vcan0 2> play.log &
    eventually is_waiting 9472 6
    head -c 4096 /dev/urandom > /disk/unsynced
    [ $failed = 0 ] && echo "guest: now cut the power: $(waiting 9472)" > /dev/console
    sleep 600
    fail "the power was not cut"
}

second_boot() {
    [ -s /disk/unsynced ] && fail "the disk kept what nobody had synced"
    ip link set eth0 down
    unit struck 9472
    opened struck 1
    waited=$(waiting 9472)
    at_least "batches that waited, and still do" "$waited" "$(word waited)"
    connect
    eventually is_drained 9472
    at_least "of them durable in the lake now" "$(counted 9472 roadlake_edge_acked_batches_total)" "$(word waited)"
    stop_agent
    cd /
    umount /disk
}
"$(word boot)_boot"
