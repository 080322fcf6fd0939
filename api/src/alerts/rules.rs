//! Rules: made, changed, taken away.

use std::collections::BTreeMap;

use wire::time::Timestamp;

use super::{
    Limits, raised, store,
    types::{AlertRule, AlertRulePatch, AlertRuleQuery, AlertRuleState, NewAlertRule},
};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::AlertRuleId,
    lake_port::{LakeErrorKind, LakeReader},
    page::{Cursor, Page, limit_of},
    rows::count_of,
    users,
};

pub(super) const AGGREGATE: &str = "alert-rule";
/// Of an organization, and of the operator: each is asked whenever something is new.
const RULES_MAX: i64 = 100;
const DESCRIPTION_LEN_MAX: usize = 2_000;
const LOOK_BACK_DEFAULT_S: i64 = 3_600;
const QUIET_DEFAULT_S: i64 = 600;

/// A query that was looked at by the lake, and where it would begin; with what is wrong with it.
#[derive(Debug)]
pub struct CheckedQuery {
    query: String,
    reads: Vec<String>,
    versions: BTreeMap<String, i64>,
    faults: Faults,
}

impl CheckedQuery {
    /// Has the lake look at one.
    pub(crate) async fn of(lake: &dyn LakeReader, query: &str) -> Result<Self, DomainError> {
        let query = query.trim().trim_end_matches(';').trim_end().to_owned();
        let mut faults = Faults::default();
        let reads = match lake.check_rule(&query).await {
            Ok(shape) => shape.reads,
            Err(error) if error.kind == LakeErrorKind::Invalid => {
                faults.add("query", error.message);
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        let versions = lake.versions_of(&reads).await?;
        Ok(Self { query, reads, versions, faults })
    }
}

/// Makes a rule: it is asked of what is new from now on.
pub async fn create(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    (new, checked): (NewAlertRule, CheckedQuery),
) -> Result<AlertRule, DomainError> {
    const WHAT: &str = "the alert rule";
    let CheckedQuery { query, reads, versions, mut faults } = checked;
    let organization = caller.placed(WHAT, new.organization_id)?;
    let organization_id = users::check_organization(conn, organization.as_deref(), &mut faults).await?;
    let limits = Limits::given((new.look_back_s, new.look_ahead_s), (new.quiet_s, new.min_duration_s));
    limits.check(&mut faults);
    let rule = AlertRule {
        id: AlertRuleId::new(now),
        organization_id,
        name: checked_name(&new.name, &mut faults),
        description: checked_description(new.description, &mut faults),
        severity: new.severity.unwrap_or_default(),
        query,
        look_back_s: limits.look_back_s,
        look_ahead_s: limits.look_ahead_s,
        quiet_s: limits.quiet_s,
        min_duration_s: limits.min_duration_s,
        notify: new.notify.unwrap_or(true),
        is_enabled: new.is_enabled.unwrap_or(true),
        reads,
        version: 1,
        asked_version: 1,
        created_at: now,
        updated_at: now,
    };
    faults.finish(WHAT)?;
    if count_of(conn, "alert_rules", rule.organization_id.as_ref()).await? >= RULES_MAX {
        return Err(DomainError::Conflict(format!(
            "there are {RULES_MAX} alert rules already, as many as an organization may have; delete one first"
        )));
    }
    note(conn, now, (&rule, "AlertRuleCreated")).await?;
    store::insert_rule(conn, &rule).await?;
    store::begin_at(conn, &rule.id, &versions).await?;
    Ok(rule)
}

/// Changes a rule that is at `expected_version`. Where it asks something else from now on, or nothing, its open alerts
/// end; `checked` is its query as it will be.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (&AlertRuleId, i64),
    (patch, checked): (AlertRulePatch, CheckedQuery),
) -> Result<AlertRule, DomainError> {
    let before = get(conn, id).await?;
    if before.version != expected_version {
        return Err(DomainError::Stale {
            what: "alert rule",
            id: id.to_string(),
            current: before.version,
            expected: expected_version,
        });
    }
    let CheckedQuery { query, reads, versions, mut faults } = checked;
    let mut rule = before.clone();
    if let Some(name) = &patch.name {
        rule.name = checked_name(name, &mut faults);
    }
    if let Some(description) = patch.description {
        rule.description = checked_description(description, &mut faults);
    }
    rule.severity = patch.severity.unwrap_or(before.severity);
    (rule.query, rule.reads) = (query, reads);
    rule.look_back_s = patch.look_back_s.unwrap_or(before.look_back_s);
    rule.look_ahead_s = patch.look_ahead_s.unwrap_or(before.look_ahead_s);
    rule.quiet_s = patch.quiet_s.unwrap_or(before.quiet_s);
    rule.min_duration_s = patch.min_duration_s.unwrap_or(before.min_duration_s);
    rule.notify = patch.notify.unwrap_or(before.notify);
    rule.is_enabled = patch.is_enabled.unwrap_or(before.is_enabled);
    Limits::of(&rule).check(&mut faults);
    faults.finish("the change")?;
    if rule == before {
        return Ok(before);
    }
    (rule.version, rule.updated_at) = (before.version + 1, now);
    let asks_the_same = rule.query == before.query && Limits::of(&rule) == Limits::of(&before);
    let begins = !asks_the_same || (rule.is_enabled && !before.is_enabled);
    if begins {
        rule.asked_version = rule.version;
    }
    note(conn, now, (&rule, "AlertRuleChanged")).await?;
    store::update_rule(conn, &rule).await?;
    if begins || !rule.is_enabled {
        raised::end_all(conn, now, id).await?;
        store::begin_at(conn, id, &versions).await?;
    }
    Ok(rule)
}

/// Takes a rule away; its alerts stay, and those that are open end.
pub async fn delete(conn: &mut Conn, now: Timestamp, id: &AlertRuleId) -> Result<(), DomainError> {
    let mut rule = get(conn, id).await?;
    (rule.version, rule.updated_at) = (rule.version + 1, now);
    note(conn, now, (&rule, "AlertRuleDeleted")).await?;
    raised::end_all(conn, now, id).await?;
    store::forget_progress(conn, id).await?;
    store::delete_rule(conn, id).await
}

/// The rule of an id.
pub async fn get(conn: &mut Conn, id: &AlertRuleId) -> Result<AlertRule, DomainError> {
    store::rule(conn, id).await?.ok_or_else(|| DomainError::not_found("alert rule", id.as_str()))
}

/// A rule with how far it has come.
pub async fn with_progress(conn: &mut Conn, rule: AlertRule) -> Result<AlertRuleState, DomainError> {
    let progress = store::shown_progress(conn, &rule.id).await?;
    Ok(AlertRuleState { rule, progress })
}

/// Rules, oldest first.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: AlertRuleQuery,
) -> Result<Page<AlertRuleState>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?.unwrap_or_default();
    let mut found = Vec::new();
    for rule in store::rules_after(conn, &organization, (&after, limit + 1)).await? {
        found.push(with_progress(conn, rule).await?);
    }
    Ok(Page::of(found, limit, |state| Cursor { key: String::new(), id: state.rule.id.to_string() }))
}

/// The event's data for all: how the rule is.
async fn note(
    conn: &mut Conn,
    now: Timestamp,
    (rule, event_type): (&AlertRule, &'static str),
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: rule.id.to_string(),
        event_type,
        data: json_of(rule),
    };
    events::append(conn, now, rule.version - 1, event).await?;
    Ok(())
}

fn checked_name(name: &str, faults: &mut Faults) -> String {
    let name = name.trim().to_owned();
    faults.require((1..=120).contains(&name.chars().count()), "name", "must be 1 to 120 characters");
    name
}

fn checked_description(text: Option<String>, faults: &mut Faults) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let fits = text.as_ref().is_none_or(|text| text.chars().count() <= DESCRIPTION_LEN_MAX);
    faults.require(fits, "description", "must be at most 2000 characters");
    text
}

impl Limits {
    /// Those of a trial or a new rule that names some of them.
    pub(super) fn given(
        (look_back_s, look_ahead_s): (Option<i64>, Option<i64>),
        (quiet_s, min_duration_s): (Option<i64>, Option<i64>),
    ) -> Self {
        Self {
            look_back_s: look_back_s.unwrap_or(LOOK_BACK_DEFAULT_S),
            look_ahead_s: look_ahead_s.unwrap_or(0),
            quiet_s: quiet_s.unwrap_or(QUIET_DEFAULT_S),
            min_duration_s: min_duration_s.unwrap_or(0),
        }
    }
}
