//! Sample organizations, a tariff, a maintenance schedule, alert rules, drivers and groups for `roadlake demo`, from `configs/tariffs/demo.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    alerts::{
        rules::{self, CheckedQuery},
        types::{AlertSeverity, NewAlertRule},
    },
    billing::{
        invoicing,
        tariff::{ComponentType, Tariff, TariffTerms},
        tariffs,
    },
    caller::Caller,
    db::Conn,
    drivers::{
        self,
        assignments::{self, types::NewAssignment},
        observer::EndsAssignments,
        types::NewDriver,
    },
    fault::{DomainError, Faults},
    maintenance::{schedules, types::NewMaintenanceSchedule},
    serve::Handle,
    users::{
        self,
        types::{NewOrganization, Organization},
    },
    vehicles::{
        self,
        groups::{self, types::NewGroup},
        types::{NewVehicle, VehiclePatch},
    },
};

/// 1 January 2020, before the recorded log, which is of years ago.
const DRIVE_SINCE: Timestamp = Timestamp(1_577_836_800_000_000);

const FILE: &str = include_str!("../../configs/tariffs/demo.toml");

/// What the file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Demo {
    version: i64,
    organizations: Vec<DemoOrganization>,
    tariff: TariffTerms,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DemoOrganization {
    name: String,
    currency: String,
    time_zone: String,
}

/// What was made, or was there.
#[derive(Debug, Clone)]
pub struct DemoSeed {
    /// The organizations, in the file's order.
    pub organizations: Vec<Organization>,
    /// Their tariff.
    pub tariff: Tariff,
}

/// Why the sample could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file in the program does not read.
    #[error("configs/tariffs/demo.toml is not readable")]
    File(#[from] toml::de::Error),
    /// A domain refused.
    #[error("the sample data was refused")]
    Refused(#[from] DomainError),
}

/// Makes the organizations and the tariff, and registers `vehicles` with their names, in turn to
/// each organization. What is there stays as it is: a second call changes nothing.
pub async fn seed_demo(handle: &Handle, vehicles: &[(VehicleId, String)]) -> Result<DemoSeed, SeedError> {
    let demo: Demo = toml::from_str(FILE)?;
    if demo.version != service::config::CONFIG_VERSION {
        return Err(DomainError::invalid("configs/tariffs/demo.toml", "version", "must be 1").into());
    }
    let now = Timestamp(handle.clock.now_us());
    let mut asked = Vec::new();
    for rule in alert_rules() {
        asked.push((CheckedQuery::of(handle.lake.as_ref(), &rule.query).await?, rule));
    }
    let mut tx = handle.db.write().await.map_err(DomainError::from)?;
    let tariff = match tariffs::by_name(&mut tx, &demo.tariff.name).await? {
        Some(tariff) => tariff,
        None => tariffs::create(&mut tx, now, demo.tariff).await?,
    };
    let mut organizations = Vec::new();
    let mut is_first_start = false;
    for wanted in demo.organizations {
        let organization = match users::by_name(&mut tx, &wanted.name).await? {
            Some(organization) => organization,
            None => {
                let new = NewOrganization {
                    name: wanted.name,
                    currency: wanted.currency,
                    time_zone: wanted.time_zone,
                };
                let made = users::create(&mut tx, now, new).await?;
                tariffs::assign(&mut tx, now, &made.id, &tariff.id).await?;
                is_first_start = true;
                made
            }
        };
        organizations.push(organization);
    }
    let in_turn: BTreeMap<&VehicleId, (&str, &Organization)> = vehicles
        .iter()
        .zip(organizations.iter().cycle())
        .map(|((id, name), organization)| (id, (name.as_str(), organization)))
        .collect();
    for (id, (name, organization)) in in_turn {
        let organization_id = Some(organization.id.to_string());
        match vehicles::get(&mut tx, id.as_str()).await {
            Ok(there) if there.organization_id.is_some() => {}
            Ok(there) => {
                let patch = VehiclePatch { name: Some(name.to_owned()), organization_id };
                let which = (id.as_str(), there.version);
                vehicles::change(&mut tx, now, which, (patch, &EndsAssignments)).await?;
            }
            Err(DomainError::NotFound { .. }) => {
                let new =
                    NewVehicle { vehicle_id: id.to_string(), name: Some(name.to_owned()), organization_id };
                vehicles::register(&mut tx, now, new).await?;
            }
            Err(e) => return Err(e.into()),
        }
    }
    // Not again: whoever has deleted it does not want it back.
    if let Some(first) = organizations.first().filter(|_| is_first_start) {
        schedules::create(&mut tx, now, &Caller::operator(), safety_check(first)).await?;
        let own = vehicles.iter().map(|(id, _)| id).step_by(organizations.len().max(1));
        let own: Vec<&VehicleId> = own.collect();
        people_and_groups(&mut tx, now, (first, &own)).await?;
        for (checked, rule) in asked {
            rules::create(&mut tx, now, &Caller::operator(), (rule, checked)).await?;
        }
    }
    tx.commit().await.map_err(DomainError::from)?;
    Ok(DemoSeed { organizations, tariff })
}

/// Two drivers of the organization's first two vehicles, and its vehicles in two groups, in turn.
async fn people_and_groups(
    conn: &mut Conn,
    now: Timestamp,
    (organization, vehicles): (&Organization, &[&VehicleId]),
) -> Result<(), DomainError> {
    let operator = Caller::operator();
    let organization_id = Some(organization.id.to_string());
    let drivers = [("Ana Lund", "101", ["B", "BE"]), ("Jonas Friis", "102", ["B", "CE"])];
    for ((name, number, classes), vehicle) in drivers.into_iter().zip(vehicles) {
        let new = NewDriver {
            name: name.to_owned(),
            employee_number: Some(number.to_owned()),
            licence_classes: classes.map(str::to_owned).to_vec(),
            organization_id: organization_id.clone(),
            ..NewDriver::default()
        };
        let driver = drivers::register(conn, now, &operator, new).await?;
        let new = NewAssignment {
            driver_id: driver.id.to_string(),
            vehicle_id: vehicle.to_string(),
            ..NewAssignment::default()
        };
        let times = (&operator, DRIVE_SINCE, None);
        assignments::make(conn, now, times, (new, Faults::default())).await?;
    }
    for (at, name) in ["North depot", "South depot"].into_iter().enumerate() {
        let new =
            NewGroup { name: name.to_owned(), description: None, organization_id: organization_id.clone() };
        let group = groups::create(conn, now, &operator, new).await?;
        for vehicle in vehicles.iter().skip(at).step_by(2) {
            groups::join(conn, now, &operator, (&group.id, vehicle.as_str())).await?;
        }
    }
    Ok(())
}

/// Of everybody's vehicles.
fn alert_rules() -> [NewAlertRule; 2] {
    let rule = |name: &str, severity, query: &str| NewAlertRule {
        name: name.to_owned(),
        description: None,
        severity: Some(severity),
        query: query.to_owned(),
        // They look at a moment by itself.
        look_back_s: Some(0),
        look_ahead_s: None,
        quiet_s: Some(120),
        min_duration_s: None,
        notify: None,
        is_enabled: None,
        organization_id: None,
    };
    [
        rule(
            "Faster than 110 km/h",
            AlertSeverity::Warning,
            "SELECT vehicle_id, ts, speed_kmh AS value,\n       \
             'at ' || CAST(round(speed_kmh) AS INT) || ' km/h' AS message\nFROM readings WHERE speed_kmh > 110",
        ),
        rule(
            "Driven hard",
            AlertSeverity::Info,
            "SELECT vehicle_id, start_time AS ts, kind AS key, peak_mps2 AS value, severity\n\
             FROM latest_driving_events WHERE kind LIKE 'harsh%' AND severity <> 'low'",
        ),
    ]
}

/// Work that simulated vehicles are due for within minutes, as they go many times faster than time.
fn safety_check(organization: &Organization) -> NewMaintenanceSchedule {
    NewMaintenanceSchedule {
        name: "Safety check".to_owned(),
        description: Some("Tyres, lights, fluids, brakes; note what is found.".to_owned()),
        every_km: Some(100),
        every_days: Some(30),
        remind_km: Some(25),
        remind_days: None,
        vehicle_ids: Vec::new(),
        is_enabled: None,
        organization_id: Some(organization.id.to_string()),
    }
}

/// The newest invoice that bills the vehicle, as text for a terminal, with the query that
/// proves its line of distance.
pub async fn invoice_text(
    handle: &Handle,
    organization: &Organization,
    vehicle_id: &VehicleId,
) -> Result<Option<String>, DomainError> {
    let mut conn = handle.db.read().await.map_err(DomainError::from)?;
    let Some(found) = invoicing::latest_of_vehicle(&mut conn, &organization.id, vehicle_id).await? else {
        return Ok(None);
    };
    let invoice = &found.invoice;
    let money = |minor: i64| {
        let amount = rust_decimal::Decimal::new(minor, invoice.currency_exponent);
        format!("{amount} {}", invoice.currency)
    };
    let mut text = format!("Invoice {} of {} ({})\n", invoice.id, organization.name, invoice.status.as_str());
    for line in found.lines.iter().filter(|l| l.vehicle_id == *vehicle_id) {
        text.push_str(&format!(
            "  {:<58} {:>10} {:<4} x {:>6} = {:>10}\n",
            line.description,
            line.quantity.normalize(),
            line.unit,
            line.unit_price,
            money(line.amount_minor)
        ));
    }
    let (subtotal, tax) = (money(invoice.subtotal_minor), money(invoice.tax_minor));
    text.push_str(&format!("  total {subtotal} + tax {tax} = {}\n", money(invoice.total_minor)));
    let proved =
        found.lines.iter().find(|l| l.vehicle_id == *vehicle_id && l.component == ComponentType::Distance);
    if let Some(line) = proved {
        text.push_str(&format!("  proof: lake version {}, {}\n", line.lake_version, line.evidence_sql));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_the_program_is_a_good_tariff() {
        let demo: Demo = toml::from_str(FILE).unwrap();
        demo.tariff.check().unwrap();
        assert_eq!(demo.organizations.len(), 3);
        assert!(demo.organizations.iter().all(|o| o.currency == demo.tariff.currency));
    }
}
