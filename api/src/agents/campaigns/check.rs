//! A set against the vehicles that are to run it: what it would collect there, or why it would be refused.

use std::{collections::HashMap, sync::Arc};

use edge_agent::campaign::{Bounds, CampaignError, CampaignSet, Plan};
use service::logs::chain;
use wire::{
    catalog::Catalog,
    ids::{CatalogHash, VehicleId},
};

use super::{
    super::store,
    types::{CheckItem, CheckLine, Fit},
};
use crate::{
    db::Conn,
    fault::{DomainError, Faults},
    lake_port::LakeReader,
};

/// Faults of a deployment that are told one by one.
const FAULTS_MAX: usize = 20;

/// A vehicle, and what its agent told.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) vehicle_id: VehicleId,
    catalog_hash: Option<CatalogHash>,
    /// Of the set in force.
    pub(crate) revision: Option<i64>,
}

/// What is known of vehicles.
pub(super) async fn known(conn: &mut Conn, ids: Vec<VehicleId>) -> Result<Vec<Known>, DomainError> {
    let mut agents = store::by_vehicles(conn, &ids).await?;
    let mut all = Vec::with_capacity(ids.len());
    for vehicle_id in ids {
        let agent = agents.remove(&vehicle_id);
        let in_force = agent.as_ref().and_then(|agent| agent.campaigns_in_force.as_ref());
        all.push(Known {
            revision: in_force.and_then(|set| i64::try_from(set.revision).ok()),
            catalog_hash: agent
                .and_then(|agent| uuid::Uuid::parse_str(&agent.catalog_hash).ok().map(CatalogHash)),
            vehicle_id,
        });
    }
    Ok(all)
}

/// Tries a set against vehicles; what their signals are is read from the lake once a catalogue.
#[derive(Debug)]
pub(crate) struct Checker {
    lake: Arc<dyn LakeReader>,
    catalogs: HashMap<CatalogHash, Option<Catalog>>,
}

impl Checker {
    pub(crate) fn new(lake: Arc<dyn LakeReader>) -> Self {
        Self { lake, catalogs: HashMap::new() }
    }

    /// What becomes of a set on each vehicle.
    pub(crate) async fn items(
        &mut self,
        set: &CampaignSet,
        vehicles: &[Known],
    ) -> Result<Vec<CheckItem>, DomainError> {
        let mut items = Vec::with_capacity(vehicles.len());
        for known in vehicles {
            items.push(self.item(set, known).await?);
        }
        Ok(items)
    }

    async fn item(&mut self, set: &CampaignSet, known: &Known) -> Result<CheckItem, DomainError> {
        let vehicle_id = known.vehicle_id.clone();
        let Some(catalog) = self.catalog(known.catalog_hash).await? else {
            return Ok(CheckItem { vehicle_id, fit: Fit::Unknown, collects: Vec::new(), faults: Vec::new() });
        };
        let (fit, collects, faults) = match Plan::compile(set, &vehicle_id, catalog, Bounds::default()) {
            Ok(plan) => (Fit::Fits, plan.lines().into_iter().map(CheckLine::from).collect(), Vec::new()),
            Err(CampaignError::Faults { faults }) => (Fit::Refused, Vec::new(), faults),
            Err(error) => (Fit::Refused, Vec::new(), vec![chain(&error).to_string()]),
        };
        Ok(CheckItem { vehicle_id, fit, collects, faults })
    }

    /// The signals of vehicles with that catalogue, without those of campaigns that run there.
    async fn catalog(&mut self, hash: Option<CatalogHash>) -> Result<Option<&Catalog>, DomainError> {
        let Some(hash) = hash else { return Ok(None) };
        if !self.catalogs.contains_key(&hash) {
            let mut found = self.lake.catalog(hash).await?;
            if let Some(catalog) = &mut found {
                catalog.columns.retain(|column| !column.signal.contains('#'));
            }
            self.catalogs.insert(hash, found);
        }
        Ok(self.catalogs.get(&hash).and_then(Option::as_ref))
    }
}

/// The faults of a deployment that some of its vehicles would refuse.
pub(super) fn faults_of(items: &[CheckItem]) -> Faults {
    let mut faults = Faults::default();
    let refused: Vec<&CheckItem> = items.iter().filter(|item| item.fit == Fit::Refused).collect();
    for item in refused.iter().take(FAULTS_MAX) {
        faults.add(format!("vehicle {}", item.vehicle_id), item.faults.join("; "));
    }
    if let Some(more) = refused.len().checked_sub(FAULTS_MAX).filter(|more| *more > 0) {
        faults.add("vehicle_ids", format!("{more} more vehicles would refuse it too"));
    }
    faults
}
