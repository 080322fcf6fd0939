//! SQL on `vehicle_groups` and `group_vehicles`.

use std::collections::{HashMap, HashSet};

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::time::Timestamp;

use super::types::Group;
use crate::{
    db::Conn,
    fault::DomainError,
    ids::{GroupId, RegistryId},
    rows::{optional, parsed},
};

const WHAT: &str = "group";
/// Vehicles of one statement: each is a parameter.
const VEHICLES_MAX: usize = 1_000;

pub(super) async fn insert(conn: &mut Conn, group: &Group) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO vehicle_groups (id, organization_id, name, name_key, description, version, created_us, \
         updated_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(group.id.to_string())
    .bind(group.organization_id.as_ref().map(ToString::to_string))
    .bind(group.name.clone())
    .bind(group.name.to_lowercase())
    .bind(group.description.clone())
    .bind(group.version)
    .bind(group.created_at.0)
    .bind(group.updated_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of it but whose it is.
pub(super) async fn update(conn: &mut Conn, group: &Group) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE vehicle_groups SET name = $1, name_key = $2, description = $3, version = $4, updated_us = $5 \
         WHERE id = $6",
    )
    .bind(group.name.clone())
    .bind(group.name.to_lowercase())
    .bind(group.description.clone())
    .bind(group.version)
    .bind(group.updated_at.0)
    .bind(group.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// With what is in it.
pub(super) async fn delete(conn: &mut Conn, id: &GroupId) -> Result<(), DomainError> {
    for query in
        ["DELETE FROM group_vehicles WHERE group_id = $1", "DELETE FROM vehicle_groups WHERE id = $1"]
    {
        sqlx::query(query).bind(id.to_string()).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Only to make them anew.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    for query in ["DELETE FROM group_vehicles", "DELETE FROM vehicle_groups"] {
        sqlx::query(query).execute(&mut *conn).await?;
    }
    Ok(())
}

const GROUP: &str = "SELECT g.id, g.organization_id, g.name, g.description, g.version, g.created_us, g.updated_us, \
                     (SELECT COUNT(*) FROM group_vehicles v WHERE v.group_id = g.id) AS vehicle_count \
                     FROM vehicle_groups g";

pub(super) async fn by_id(conn: &mut Conn, id: &GroupId) -> Result<Option<Group>, DomainError> {
    let query = format!("{GROUP} WHERE g.id = $1");
    let row = sqlx::query(AssertSqlSafe(query)).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(group).transpose()
}

/// Which group of an organization, which is empty for the operator, has a name in whatever case.
pub(super) async fn by_name(
    conn: &mut Conn,
    (organization, name): (&str, &str),
) -> Result<Option<GroupId>, DomainError> {
    let row = sqlx::query(
        "SELECT id FROM vehicle_groups WHERE COALESCE(organization_id, '') = $1 AND name_key = $2",
    )
    .bind(organization.to_owned())
    .bind(name.to_lowercase())
    .fetch_optional(conn)
    .await?;
    row.map(|row| parsed(row.try_get("id")?, WHAT)).transpose()
}

/// Groups by name, after one, whose name contains `part` (lower case); of an organization unless empty.
pub(super) async fn after(
    conn: &mut Conn,
    (organization, part): (&str, &str),
    ((name_key, id), limit): ((String, String), i64),
) -> Result<Vec<Group>, DomainError> {
    let query = format!(
        "{GROUP} WHERE (g.name_key > $1 OR (g.name_key = $1 AND g.id > $2)) \
         AND ($3 = '' OR g.organization_id = $3) AND g.name_key LIKE $4 ESCAPE '\\' \
         ORDER BY g.name_key, g.id LIMIT $5"
    );
    let part = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(name_key)
        .bind(id)
        .bind(organization.to_owned())
        .bind(format!("%{part}%"))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(group).collect()
}

fn group(row: &AnyRow) -> Result<Group, DomainError> {
    Ok(Group {
        id: parsed(row.try_get("id")?, WHAT)?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        vehicle_count: row.try_get("vehicle_count")?,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
        updated_at: Timestamp(row.try_get("updated_us")?),
    })
}

pub(super) async fn has(
    conn: &mut Conn,
    (group, vehicle): (&GroupId, &RegistryId),
) -> Result<bool, DomainError> {
    let row = sqlx::query("SELECT 1 AS one FROM group_vehicles WHERE group_id = $1 AND vehicle_id = $2")
        .bind(group.to_string())
        .bind(vehicle.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

pub(super) async fn add(
    conn: &mut Conn,
    (group, vehicle): (&GroupId, &RegistryId),
    now: Timestamp,
) -> Result<(), DomainError> {
    sqlx::query("INSERT INTO group_vehicles (group_id, vehicle_id, joined_us) VALUES ($1, $2, $3)")
        .bind(group.to_string())
        .bind(vehicle.to_string())
        .bind(now.0)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn remove(
    conn: &mut Conn,
    (group, vehicle): (&GroupId, &RegistryId),
) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM group_vehicles WHERE group_id = $1 AND vehicle_id = $2")
        .bind(group.to_string())
        .bind(vehicle.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn vehicle_ids(conn: &mut Conn, id: &GroupId) -> Result<HashSet<RegistryId>, DomainError> {
    let rows = sqlx::query("SELECT vehicle_id FROM group_vehicles WHERE group_id = $1")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| parsed(row.try_get("vehicle_id")?, "vehicle")).collect()
}

/// The groups of each of these vehicles, in order.
pub(super) async fn groups_of(
    conn: &mut Conn,
    vehicles: &[RegistryId],
) -> Result<HashMap<RegistryId, Vec<GroupId>>, DomainError> {
    let mut found: HashMap<RegistryId, Vec<GroupId>> = HashMap::new();
    for some in vehicles.chunks(VEHICLES_MAX) {
        let names: Vec<String> = (1..=some.len()).map(|n| format!("${n}")).collect();
        // Numbers of parameters alone are put into the text.
        let sql = format!(
            "SELECT vehicle_id, group_id FROM group_vehicles WHERE vehicle_id IN ({}) ORDER BY vehicle_id, group_id",
            names.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in some {
            query = query.bind(id.to_string());
        }
        for row in query.fetch_all(&mut *conn).await? {
            let vehicle = parsed(row.try_get("vehicle_id")?, "vehicle")?;
            found.entry(vehicle).or_default().push(parsed(row.try_get("group_id")?, WHAT)?);
        }
    }
    Ok(found)
}
