//! What ingest tells a vehicle, and what a vehicle tells of itself.

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::{
    campaigns::SetHash,
    ids::{BootId, CatalogHash, IdError, StreamId},
    proto,
    time::Timestamp,
};

/// The payload of an `ack` message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AckMessage {
    /// What is in the lake for good.
    pub durable: Vec<DurableAck>,
    /// Catalogues ingest has not seen; the vehicle publishes them and sends again.
    pub need_catalog: Vec<CatalogHash>,
    /// Payloads ingest can never take, by their [`payload_crc32`]; the vehicle gives those
    /// batches up, told as a gap of reason `rejected`.
    pub rejected: Vec<u32>,
    /// Seconds for which the vehicle is to send no telemetry, as ingest cannot store it now; a later
    /// durable ack ends it. 0: nothing is asked.
    pub wait_s: u32,
}

/// What names a telemetry payload whose stream and sequence cannot be read: the CRC-32 of
/// IEEE 802.3 over the whole payload as it travelled.
pub fn payload_crc32(payload: &[u8]) -> u32 {
    crc32fast::hash(payload)
}

/// Every batch of the stream up to and including this sequence is in the lake for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurableAck {
    /// The vehicle's log.
    pub stream_id: StreamId,
    /// The last sequence covered.
    pub up_to_sequence: u64,
}

/// The payload of a retained `status` message; the last will carries `is_online = false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VehicleStatus {
    /// Whether the agent is connected.
    pub is_online: bool,
    /// Release of the agent.
    pub agent_version: String,
    /// The start of the agent.
    pub boot_id: BootId,
    /// The catalogue its batches use.
    pub catalog_hash: CatalogHash,
    /// Vehicle clock when it connected.
    pub since: Timestamp,
    /// How its way to the cloud is.
    pub link: LinkState,
    /// What it collects beyond the default.
    pub campaigns: CampaignStatus,
}

/// The campaign set a vehicle runs, and why it does not run another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CampaignStatus {
    /// The set in force; `None` when only the default collection runs.
    pub in_force: Option<CampaignSetName>,
    /// Why the latest set delivered was refused; empty when it was not.
    pub refusal: String,
}

/// One revision of a campaign set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignSetName {
    /// What its author calls it.
    pub set_id: String,
    /// Rises with every change.
    pub revision: u64,
    /// Of its text.
    pub hash: SetHash,
}

/// How a vehicle's way to the cloud is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// No broker has accepted the agent: it spools.
    #[default]
    Offline,
    /// Connected, and more waits than the window lets out.
    CatchingUp,
    /// Connected, and everything collected has been sent.
    Live,
}

impl LinkState {
    /// Every state.
    pub const ALL: [LinkState; 3] = [LinkState::Offline, LinkState::CatchingUp, LinkState::Live];

    /// As shown to people.
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Offline => "offline",
            LinkState::CatchingUp => "catching_up",
            LinkState::Live => "live",
        }
    }

    fn to_proto(self) -> i32 {
        match self {
            LinkState::Offline => proto::LinkState::Offline as i32,
            LinkState::CatchingUp => proto::LinkState::CatchingUp as i32,
            LinkState::Live => proto::LinkState::Live as i32,
        }
    }

    /// Unknown states read as what `is_online` says.
    fn from_proto(value: i32, is_online: bool) -> Self {
        match proto::LinkState::try_from(value) {
            Ok(proto::LinkState::Offline) => LinkState::Offline,
            Ok(proto::LinkState::CatchingUp) => LinkState::CatchingUp,
            Ok(proto::LinkState::Live) => LinkState::Live,
            _ if is_online => LinkState::Live,
            _ => LinkState::Offline,
        }
    }
}

/// Why bytes are no such message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeAckError {
    /// Not protobuf of the message.
    #[error("{what} is not protobuf of its message")]
    Protobuf {
        /// Which message.
        what: &'static str,
        /// The reader's error.
        source: prost::DecodeError,
    },
    /// A malformed id.
    #[error("malformed id")]
    Id(#[from] IdError),
}

impl AckMessage {
    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        let durable = self.durable.iter().map(|a| proto::DurableAck {
            stream_id: a.stream_id.as_bytes().to_vec(),
            up_to_sequence: a.up_to_sequence,
        });
        let message = proto::AckMessage {
            durable: durable.collect(),
            need_catalog: self.need_catalog.iter().map(|h| h.as_bytes().to_vec()).collect(),
            rejected_crc32: self.rejected.clone(),
            wait_s: self.wait_s,
        };
        message.encode_to_vec()
    }

    /// Reads the bytes that travel.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeAckError> {
        let message = proto::AckMessage::decode(bytes)
            .map_err(|source| DecodeAckError::Protobuf { what: "ack", source })?;
        let durable = message.durable.iter().map(|a| {
            Ok(DurableAck {
                stream_id: StreamId::from_slice(&a.stream_id)?,
                up_to_sequence: a.up_to_sequence,
            })
        });
        let need_catalog = message.need_catalog.iter().map(|h| CatalogHash::from_slice(h));
        Ok(Self {
            durable: durable.collect::<Result<_, IdError>>()?,
            need_catalog: need_catalog.collect::<Result<_, IdError>>()?,
            rejected: message.rejected_crc32,
            wait_s: message.wait_s,
        })
    }
}

impl VehicleStatus {
    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        let set = self.campaigns.in_force.as_ref();
        let message = proto::VehicleStatus {
            online: self.is_online,
            agent_version: self.agent_version.clone(),
            boot_id: self.boot_id.as_bytes().to_vec(),
            catalog_hash: self.catalog_hash.as_bytes().to_vec(),
            since_us: self.since.0,
            link: self.link.to_proto(),
            campaign_set_id: set.map(|s| s.set_id.clone()).unwrap_or_default(),
            campaign_revision: set.map_or(0, |s| s.revision),
            campaign_hash: set.map(|s| s.hash.0.to_vec()).unwrap_or_default(),
            campaign_refusal: self.campaigns.refusal.clone(),
        };
        message.encode_to_vec()
    }

    /// Reads the bytes that travel.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeAckError> {
        let message = proto::VehicleStatus::decode(bytes)
            .map_err(|source| DecodeAckError::Protobuf { what: "status", source })?;
        Ok(Self {
            is_online: message.online,
            agent_version: message.agent_version,
            boot_id: BootId::from_slice(&message.boot_id)?,
            catalog_hash: CatalogHash::from_slice(&message.catalog_hash)?,
            since: Timestamp(message.since_us),
            link: LinkState::from_proto(message.link, message.online),
            campaigns: CampaignStatus {
                // A hash of another length is of a later release: the set is told without one.
                in_force: (!message.campaign_set_id.is_empty()).then(|| CampaignSetName {
                    set_id: message.campaign_set_id,
                    revision: message.campaign_revision,
                    hash: SetHash(message.campaign_hash.as_slice().try_into().unwrap_or_default()),
                }),
                refusal: message.campaign_refusal,
            },
        })
    }
}
