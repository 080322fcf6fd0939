# A control unit of ours that is asked by OBD-II over ISO-TP.
bus vcan4
ecu ecu vcan4 --vin WRLZZZSVH00000001 --pid 05=7B --pid 0C=1AF8 --pid 0D=58 --fault P0171
ask_obd 9464 vcan4
answered_obd 9464 WRLZZZSVH00000001
stop_agent
stop $awake
stop $ecu
