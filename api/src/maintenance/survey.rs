//! Schedules, vehicles and items read together: each vehicle with each schedule that is for it.

use std::collections::HashMap;

use wire::time::Timestamp;

use super::{
    items::{self, Item},
    store,
    types::MaintenanceSchedule,
};
use crate::{
    db::Conn,
    fault::DomainError,
    ids::{MaintenanceScheduleId, OrganizationId, RegistryId},
    vehicles::{self, Driven},
};

/// What is read; what is empty narrows nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) organization: String,
    pub(super) schedule: String,
    pub(super) vehicle: Option<RegistryId>,
}

impl Scope {
    pub(super) fn of_schedule(schedule: &MaintenanceSchedule) -> Self {
        let organization = schedule.organization_id.as_ref().map(ToString::to_string).unwrap_or_default();
        Self { organization, schedule: schedule.id.to_string(), vehicle: None }
    }

    pub(super) fn of_vehicle(vehicle: RegistryId) -> Self {
        Self { vehicle: Some(vehicle), ..Self::default() }
    }
}

/// Enabled schedules, vehicles, and where these are in those.
#[derive(Debug)]
pub(super) struct Survey {
    schedules: Vec<MaintenanceSchedule>,
    vehicles: HashMap<Option<OrganizationId>, Vec<Driven>>,
    items: HashMap<(MaintenanceScheduleId, RegistryId), Item>,
}

impl Survey {
    pub(super) async fn take(conn: &mut Conn, scope: &Scope) -> Result<Self, DomainError> {
        let schedules = store::enabled_schedules(conn, (&scope.organization, &scope.schedule)).await?;
        if schedules.is_empty() {
            return Ok(Self { schedules, vehicles: HashMap::new(), items: HashMap::new() });
        }
        let found = match &scope.vehicle {
            Some(id) => vehicles::driven_one(conn, id).await?.into_iter().collect(),
            None => vehicles::driven(conn, &scope.organization).await?,
        };
        let mut vehicles: HashMap<_, Vec<Driven>> = HashMap::new();
        for vehicle in found {
            vehicles.entry(vehicle.organization_id.clone()).or_default().push(vehicle);
        }
        let items = store::items(conn, scope).await?.into_iter();
        let items = items.map(|item| ((item.schedule_id.clone(), item.vehicle_id.clone()), item)).collect();
        Ok(Self { schedules, vehicles, items })
    }

    /// Each vehicle with each schedule that is for it, and where it is in that.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&MaintenanceSchedule, &Driven, Option<&Item>)> {
        self.schedules.iter().flat_map(move |schedule| {
            let own = self.vehicles.get(&schedule.organization_id).into_iter().flatten();
            own.filter(move |vehicle| schedule.covers(vehicle)).map(move |vehicle| {
                let item = self.items.get(&(schedule.id.clone(), vehicle.id.clone()));
                (schedule, vehicle, item)
            })
        })
    }

    /// Those of which something is to be done.
    pub(super) fn steps(&self, now: Timestamp) -> Vec<(MaintenanceScheduleId, RegistryId)> {
        let due = self
            .pairs()
            .filter(|(schedule, vehicle, item)| items::next_step((schedule, vehicle), *item, now).is_some());
        due.map(|(schedule, vehicle, _)| (schedule.id.clone(), vehicle.id.clone())).collect()
    }
}
