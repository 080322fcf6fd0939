//! Commands: one-shot requests to a vehicle, and its reply. Signed; done at most once by the vehicle, which keeps a book.
//!
//! A command waits in the database until its vehicle's reply has come or its time is over; it is sent again when the
//! vehicle comes, which costs nothing: what is in its book is answered as it was.

pub(crate) mod http;
mod store;
pub mod types;

use wire::{
    command::{CommandOutcome, CommandReply, is_version},
    ids::VehicleId,
    time::Timestamp,
};

pub(crate) use self::store::{clear, due, insert, mark_published, note_reply};
use self::types::{CommandQuery, NewCommand, StoredCommand, Task};
use super::{LOOKED_THROUGH, own_vehicle};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::CommandId,
    page::{Cursor, Page, limit_of},
    vehicles,
};

pub(crate) const AGGREGATE: &str = "command";
const VALID_FOR_S_DEFAULT: i64 = 86_400;
/// As long as a vehicle takes one for (docs/commands.md).
const VALID_FOR_S_MAX: i64 = 7 * 86_400;
const LOG_BYTES_DEFAULT: u32 = 64 * 1024;
const LOG_BYTES_MAX: u32 = 128 * 1024;

/// Writes a command; from now on it is delivered.
pub async fn create(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    new: &NewCommand,
) -> Result<StoredCommand, DomainError> {
    const WHAT: &str = "the command";
    let mut faults = Faults::default();
    let vehicle_id = own_vehicle(conn, caller, &new.vehicle_id).await?;
    if vehicle_id.is_none() {
        faults.add("vehicle_id", format!("there is no vehicle {:?}; see /v1/vehicles", new.vehicle_id));
    }
    let valid_for_s = new.valid_for_s.unwrap_or(VALID_FOR_S_DEFAULT);
    if !(1..=VALID_FOR_S_MAX).contains(&valid_for_s) {
        faults.add("valid_for_s", format!("must be 1 to {VALID_FOR_S_MAX}"));
    }
    let task = checked(new.task.clone(), &mut faults);
    faults.finish(WHAT)?;
    let Some(vehicle_id) = vehicle_id else {
        return Err(DomainError::invalid(WHAT, "vehicle_id", "is missing"));
    };
    // Above what `edge-agent command sign` gives, which goes by the clock too.
    let sequence = store::last_sequence(conn, &vehicle_id).await?.saturating_add(1).max(now.0);
    let command = StoredCommand {
        id: CommandId::new(now),
        vehicle_id,
        task,
        sequence,
        state: types::CommandState::Waiting,
        issued_at: now,
        expires_at: now.plus_us(valid_for_s.saturating_mul(1_000_000)),
        published_at: None,
        reply: None,
    };
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: command.id.to_string(),
        event_type: "CommandIssued",
        data: serde_json::json!({
            "vehicle_id": json_of(&command.vehicle_id), "task": json_of(&command.task), "sequence": sequence,
            "expires_at": json_of(&command.expires_at),
        }),
    };
    events::append(conn, now, 0, event).await?;
    store::insert(conn, &command).await?;
    get(conn, now, &command.id).await
}

/// The command of an id.
pub async fn get(conn: &mut Conn, now: Timestamp, id: &CommandId) -> Result<StoredCommand, DomainError> {
    let found = store::by_id(conn, now, id).await?;
    found.ok_or_else(|| DomainError::not_found("command", id.as_str()))
}

/// Commands of the caller's vehicles, newest first.
pub async fn list(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    query: CommandQuery,
) -> Result<Page<StoredCommand>, DomainError> {
    let limit = limit_of(query.limit)?;
    let mut before = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let vehicle_id = match &query.vehicle_id {
        Some(id) => match own_vehicle(conn, caller, id).await? {
            Some(id) => id.to_string(),
            None => return Err(DomainError::not_found("vehicle", id)),
        },
        None => String::new(),
    };
    let own = match (caller.organization(), vehicle_id.is_empty()) {
        (Some(own), true) => Some(vehicles::names(conn, Some(own)).await?),
        _ => None,
    };
    let page_len = usize::try_from(limit + 1).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    while found.len() < page_len {
        let some = store::before(conn, now, (&vehicle_id, &before, LOOKED_THROUGH)).await?;
        let Some(last) = some.last() else { break };
        last.id.as_str().clone_into(&mut before);
        found.extend(
            some.into_iter().filter(|c| own.as_ref().is_none_or(|own| own.contains_key(&c.vehicle_id))),
        );
    }
    found.truncate(page_len);
    Ok(Page::of(found, limit, |c| Cursor { key: String::new(), id: c.id.to_string() }))
}

/// Notes a vehicle's reply; false when it is to nothing that waits.
pub(super) async fn answer(
    conn: &mut Conn,
    now: Timestamp,
    (vehicle_id, reply): (&VehicleId, &CommandReply),
) -> Result<bool, DomainError> {
    let Ok(id) = reply.command_id.parse::<CommandId>() else { return Ok(false) };
    let Some(command) = store::by_id(conn, now, &id).await? else { return Ok(false) };
    if command.vehicle_id != *vehicle_id || command.reply.is_some() {
        return Ok(false);
    }
    let reply = types::Reply::from(reply.clone());
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: id.to_string(),
        event_type: "CommandAnswered",
        data: serde_json::json!({ "vehicle_id": json_of(vehicle_id), "reply": json_of(&reply) }),
    };
    events::append(conn, now, 1, event).await?;
    store::note_reply(conn, &id, &reply).await?;
    Ok(true)
}

/// A vehicle that came is sent what waits for it.
pub(super) async fn publish_again(conn: &mut Conn, vehicle_id: &VehicleId) -> Result<(), DomainError> {
    store::unmark_waiting(conn, vehicle_id.as_str()).await
}

/// The same for all of them.
pub(super) async fn publish_all_again(conn: &mut Conn) -> Result<(), DomainError> {
    store::unmark_waiting(conn, "").await
}

fn checked(task: Task, faults: &mut Faults) -> Task {
    match &task {
        Task::SendLog { bytes_max } => {
            let bytes_max = bytes_max.unwrap_or(LOG_BYTES_DEFAULT);
            if !(1..=LOG_BYTES_MAX).contains(&bytes_max) {
                faults.add("bytes_max", format!("must be 1 to {LOG_BYTES_MAX}"));
            }
            Task::SendLog { bytes_max: Some(bytes_max) }
        }
        Task::ApplyUpdate { version } => {
            faults.require(
                is_version(version),
                "version",
                "must be 1 to 64 of A-Z a-z 0-9 . + ~ - _ and not begin with -",
            );
            task
        }
        _ => task,
    }
}

/// As the outcome is stored and shown.
pub(crate) fn outcome_word(outcome: CommandOutcome) -> &'static str {
    match outcome {
        CommandOutcome::Done => "done",
        CommandOutcome::Refused => "refused",
        CommandOutcome::Failed => "failed",
    }
}
