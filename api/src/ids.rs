//! Ids the api gives out: a prefix that says of what, and a UUIDv7 so that they sort by time.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wire::time::Timestamp;

/// Longest id accepted.
const ID_LEN_MAX: usize = 80;

/// A text that is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no {what} id; it looks like {prefix}…")]
pub struct IdError {
    what: &'static str,
    prefix: &'static str,
    given: String,
}

fn v7(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.0.div_euclid(1_000_000)).unwrap_or(0);
    let nanos = u32::try_from(now.0.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new one.
            pub fn new(now: Timestamp) -> Self {
                Self(format!("{}{}", $prefix, v7(now).simple()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let fits = text.len() <= ID_LEN_MAX
                    && text.strip_prefix($prefix).is_some_and(|rest| {
                        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                    });
                if fits {
                    Ok(Self(text.to_owned()))
                } else {
                    let given = text.chars().take(60).collect();
                    Err(IdError { what: $what, prefix: $prefix, given })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

prefixed_id!(
    /// An organization.
    OrganizationId, "organization", "org_"
);
prefixed_id!(
    /// A vehicle in the registry; its telemetry id is `wire::ids::VehicleId`.
    RegistryId, "vehicle", "veh_"
);
prefixed_id!(
    /// A trip; analytics gives these.
    TripId, "trip", "trp_"
);
prefixed_id!(
    /// A tariff.
    TariffId, "tariff", "trf_"
);
prefixed_id!(
    /// An invoice.
    InvoiceId, "invoice", "inv_"
);
prefixed_id!(
    /// A line of an invoice.
    LineId, "invoice line", "inl_"
);
prefixed_id!(
    /// A rule by which alerts are raised.
    AlertRuleId, "alert rule", "alr_"
);
prefixed_id!(
    /// An alert.
    AlertId, "alert", "alt_"
);
prefixed_id!(
    /// A person with a role.
    UserId, "user", "usr_"
);
prefixed_id!(
    /// An API key.
    ApiKeyId, "API key", "key_"
);
prefixed_id!(
    /// Somebody who is signed in.
    SessionId, "session", "ses_"
);
prefixed_id!(
    /// An amount of an invoice that is no line of a trip.
    ChargeId, "invoice charge", "chg_"
);
prefixed_id!(
    /// A row of the audit log.
    AuditId, "audit entry", "aud_"
);
prefixed_id!(
    /// A credit or debit note.
    NoteId, "credit note", "crn_"
);
prefixed_id!(
    /// A wallet.
    WalletId, "wallet", "wal_"
);
prefixed_id!(
    /// A hold on a wallet's credit.
    HoldId, "wallet hold", "hld_"
);
prefixed_id!(
    /// A transaction of the ledger.
    TransactionId, "ledger transaction", "txn_"
);
prefixed_id!(
    /// One side of a transaction.
    EntryId, "ledger entry", "ent_"
);
prefixed_id!(
    /// A payment.
    PaymentId, "payment", "pay_"
);
prefixed_id!(
    /// A refund.
    RefundId, "refund", "rfd_"
);
prefixed_id!(
    /// A booking.
    BookingId, "booking", "bkg_"
);
prefixed_id!(
    /// A trip that is to take place.
    PlannedTripId, "planned trip", "ptr_"
);
prefixed_id!(
    /// Something a person is told.
    NotificationId, "notification", "ntf_"
);
prefixed_id!(
    /// A domain event.
    EventId, "event", "evt_"
);
prefixed_id!(
    /// An address that is told of events.
    WebhookEndpointId, "webhook endpoint", "whe_"
);
prefixed_id!(
    /// An event for such an address.
    WebhookDeliveryId, "webhook delivery", "whd_"
);
prefixed_id!(
    /// A place that is watched.
    GeofenceId, "geofence", "geo_"
);
prefixed_id!(
    /// A campaign set.
    CampaignSetId, "campaign set", "cst_"
);
prefixed_id!(
    /// A campaign set on its way to vehicles.
    DeploymentId, "campaign deployment", "cdp_"
);
prefixed_id!(
    /// A command to a vehicle.
    CommandId, "command", "cmd_"
);
prefixed_id!(
    /// A vehicle's compute unit.
    DeviceId, "device", "dev_"
);
prefixed_id!(
    /// A client certificate of such a unit.
    CertificateId, "certificate", "crt_"
);
prefixed_id!(
    /// A maintenance schedule.
    MaintenanceScheduleId, "maintenance schedule", "msc_"
);
prefixed_id!(
    /// A work order.
    WorkOrderId, "work order", "wko_"
);
prefixed_id!(
    /// Somebody who drives.
    DriverId, "driver", "drv_"
);
prefixed_id!(
    /// A driver's time with a vehicle.
    DriverAssignmentId, "driver assignment", "dra_"
);
prefixed_id!(
    /// Something that people said of trips.
    TripCorrectionId, "trip correction", "tco_"
);
prefixed_id!(
    /// A group of vehicles.
    GroupId, "group", "grp_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_refuse_other_prefixes() {
        let early = TariffId::new(Timestamp(1_000_000));
        let late = TariffId::new(Timestamp(2_000_000));
        assert!(early < late);
        assert_eq!(early.as_str().parse::<TariffId>(), Ok(early.clone()));
        assert!(early.as_str().parse::<InvoiceId>().is_err());
        for bad in ["inv_", "inv_a b", "inv_'; --", &format!("inv_{}", "x".repeat(100))] {
            assert!(bad.parse::<InvoiceId>().is_err(), "{bad}");
        }
    }
}
