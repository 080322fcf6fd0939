//! MQTT topics: `rl/v1/{shard}/{vehicle_id}/{channel}` (design 3.1).

use crate::ids::{SHARD_COUNT, VehicleId};

/// The last level of a topic. Up means from the vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Up: batches.
    Telemetry,
    /// Up: what their column ids mean.
    Catalog,
    /// Up, retained: birth and last will.
    Status,
    /// Up: answers to commands.
    Reply,
    /// Down: durable acknowledgements.
    Ack,
    /// Down, retained: the signed campaigns.
    Campaigns,
    /// Down: signed one-shot requests.
    Command,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Channel; 7] = [
        Channel::Telemetry,
        Channel::Catalog,
        Channel::Status,
        Channel::Reply,
        Channel::Ack,
        Channel::Campaigns,
        Channel::Command,
    ];

    /// The topic level.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Telemetry => "telemetry",
            Channel::Catalog => "catalog",
            Channel::Status => "status",
            Channel::Reply => "reply",
            Channel::Ack => "ack",
            Channel::Campaigns => "campaigns",
            Channel::Command => "command",
        }
    }
}

/// The topic of a vehicle's channel.
pub fn topic(vehicle_id: &VehicleId, channel: Channel) -> String {
    format!("rl/v1/{}/{vehicle_id}/{}", vehicle_id.shard(), channel.name())
}

/// What ingest instance `instance` of `instances` subscribes to for a channel: each shard it
/// owns (`shard % instances == instance`), or one wildcard when it owns all.
pub fn filters(channel: Channel, instance: u32, instances: u32) -> Vec<String> {
    if instances <= 1 {
        return vec![format!("rl/v1/+/+/{}", channel.name())];
    }
    let owned = (0..SHARD_COUNT).filter(|shard| shard % instances == instance);
    owned.map(|shard| format!("rl/v1/{shard}/+/{}", channel.name())).collect()
}

/// The vehicle and channel of a topic; `None` when the topic is not ours or its shard is not
/// the vehicle's.
pub fn parse(topic: &str) -> Option<(VehicleId, Channel)> {
    let mut levels = topic.strip_prefix("rl/v1/")?.split('/');
    let shard: u32 = levels.next()?.parse().ok()?;
    let vehicle_id: VehicleId = levels.next()?.parse().ok()?;
    let name = levels.next()?;
    if levels.next().is_some() || vehicle_id.shard() != shard {
        return None;
    }
    Channel::ALL.into_iter().find(|c| c.name() == name).map(|channel| (vehicle_id, channel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_names_its_vehicle_and_channel() {
        let id: VehicleId = "truck-7".parse().unwrap();
        for channel in Channel::ALL {
            assert_eq!(parse(&topic(&id, channel)), Some((id.clone(), channel)));
        }
        let wrong_shard = format!("rl/v1/{}/truck-7/ack", (id.shard() + 1) % 256);
        for bad in ["", "rl/v1/0/+/ack", "rl/v2/0/truck-7/ack", &wrong_shard, "rl/v1/x/truck-7/ack"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn instances_share_the_shards_without_overlap() {
        let mut all: Vec<String> = (0..3).flat_map(|i| filters(Channel::Telemetry, i, 3)).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 256);
        assert_eq!(filters(Channel::Telemetry, 0, 1), ["rl/v1/+/+/telemetry"]);
    }
}
