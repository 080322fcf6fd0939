//! MQTT in, lake out, exactly once
