//! What becomes of assignments when a vehicle becomes another organization's: the driver was of the one before.

use async_trait::async_trait;
use wire::time::Timestamp;

use super::assignments;
use crate::{
    db::Conn,
    fault::DomainError,
    vehicles::{VehicleObserver, types::Vehicle},
};

/// Ends what is open and takes back what was to come, in the transaction that changes whose the vehicle is.
#[derive(Debug)]
pub(crate) struct EndsAssignments;

#[async_trait]
impl VehicleObserver for EndsAssignments {
    async fn organization_changes(
        &self,
        conn: &mut Conn,
        now: Timestamp,
        vehicle: &Vehicle,
    ) -> Result<(), DomainError> {
        assignments::end_all_in(conn, now, &vehicle.vehicle_id).await
    }
}
