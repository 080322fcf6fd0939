//! Dunning policies: one of the installation, and one of each organization that has its own; in versions.

use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use wire::time::Timestamp;

use super::types::{AFTER_DUE, DunningAction, DunningPolicy, DunningTerms, LateFee};
use crate::{
    billing::{store, wallets::AMOUNT_MAX},
    db::Conn,
    events::{self, Event, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::OrganizationId,
    users,
};

/// The type of a policy's events.
pub(super) const AGGREGATE: &str = "dunning-policy";
/// The scope of the policy that counts for organizations that have none of their own.
const INSTALLATION: &str = "installation";
const WHAT: &str = "the dunning policy";
const DAYS_MAX: i64 = 365;
const DAYS_BEFORE_MAX: i64 = 60;
const STEP_COUNT_MAX: usize = 20;
const PERCENT_SCALE_MAX: u32 = 4;

/// The policy that counts for an organization.
#[derive(Debug, Clone)]
pub(in crate::billing) struct Counting {
    /// Whose it is; none: the installation's.
    pub(in crate::billing) organization_id: Option<OrganizationId>,
    pub(in crate::billing) version: i64,
    pub(in crate::billing) terms: DunningTerms,
}

/// What an event of a policy tells.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    organization_id: Option<OrganizationId>,
    /// None: inherited again.
    terms: Option<DunningTerms>,
}

/// The policy that counts for an organization now.
pub(in crate::billing) async fn counting(
    conn: &mut Conn,
    id: &OrganizationId,
) -> Result<Counting, DomainError> {
    let own = store::dunning::policy(conn, id.as_str()).await?;
    if let Some((version, Some(terms))) = own {
        return Ok(Counting { organization_id: Some(id.clone()), version, terms });
    }
    let policy = get(conn, None).await?;
    Ok(Counting { organization_id: None, version: policy.version, terms: policy.terms })
}

/// The policy of an organization, or of the installation.
pub async fn get(conn: &mut Conn, id: Option<&OrganizationId>) -> Result<DunningPolicy, DomainError> {
    if let Some(id) = id {
        users::get(conn, id).await?;
    }
    let stored = store::dunning::policy(conn, scope_of(id)).await?;
    let (version, own) = stored.unwrap_or((0, None));
    let is_inherited = own.is_none();
    let terms = match (own, id) {
        (Some(terms), _) => terms,
        (None, Some(_)) => {
            let (_, terms) = store::dunning::policy(conn, INSTALLATION).await?.unwrap_or((0, None));
            terms.unwrap_or_default()
        }
        (None, None) => DunningTerms::default(),
    };
    Ok(DunningPolicy { organization_id: id.cloned(), is_inherited, version, terms })
}

/// Makes the next version of a policy that is at `expected_version`; without terms it inherits again. Invoices that are
/// final already keep theirs.
pub async fn set(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (Option<&OrganizationId>, i64),
    terms: Option<DunningTerms>,
) -> Result<DunningPolicy, DomainError> {
    let current = get(conn, id).await?;
    let currency = match id {
        Some(id) => Some(users::get(conn, id).await?.currency),
        None => None,
    };
    let terms = terms.map(|terms| checked(terms, currency.as_deref())).transpose()?;
    if current.version != expected_version {
        return Err(DomainError::Stale {
            what: "dunning policy",
            id: scope_of(id).to_owned(),
            current: current.version,
            expected: expected_version,
        });
    }
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: format!("{}/dunning-policy", scope_of(id)),
        event_type: if terms.is_some() { "DunningPolicySet" } else { "DunningPolicyInherited" },
        data: json_of(&Told { organization_id: id.cloned(), terms: terms.clone() }),
    };
    let version = events::append(conn, now, current.version, event).await?;
    store::dunning::insert_policy(conn, (scope_of(id), version), terms.as_ref()).await?;
    get(conn, id).await
}

pub(super) async fn replay(conn: &mut Conn, event: &Event) -> Result<(), DomainError> {
    let Told { organization_id, terms } = event.read()?;
    let scope = scope_of(organization_id.as_ref());
    store::dunning::insert_policy(conn, (scope, event.version), terms.as_ref()).await
}

fn scope_of(id: Option<&OrganizationId>) -> &str {
    id.map_or(INSTALLATION, OrganizationId::as_str)
}

/// Terms that make sense, of an organization that is billed in a currency; all that is wrong at once.
fn checked(mut terms: DunningTerms, currency: Option<&str>) -> Result<DunningTerms, DomainError> {
    let mut faults = Faults::default();
    let days = terms.payment_terms_days;
    faults.require((0..=DAYS_MAX).contains(&days), "payment_terms_days", "must be 0 to 365");
    faults.require(terms.steps.len() <= STEP_COUNT_MAX, "steps", "must be at most 20");
    let last = terms.steps.len().saturating_sub(1);
    let mut before: Option<i64> = None;
    for (index, step) in terms.steps.iter_mut().enumerate() {
        let field = |name: &str| format!("steps[{index}].{name}");
        if !(-DAYS_BEFORE_MAX..=DAYS_MAX).contains(&step.after_days) {
            faults.add(field("after_days"), "must be -60 to 365");
        } else if step.after_days < -days {
            faults.add(
                field("after_days"),
                "must not be before the invoice is made final (payment_terms_days)",
            );
        } else if before.is_some_and(|before| before >= step.after_days) {
            faults.add(field("after_days"), "must be after that of the step before");
        }
        before = Some(step.after_days);
        let count = step.actions.len();
        step.actions.sort_unstable();
        step.actions.dedup();
        if count == 0 || count != step.actions.len() {
            faults.add(field("actions"), "must be at least one, each once");
        }
        if step.after_days < 0 && step.actions.iter().any(|action| AFTER_DUE.contains(action)) {
            faults.add(field("actions"), "may be a reminder alone before the due date");
        }
        if index != last && step.actions.contains(&DunningAction::MarkUncollectible) {
            faults.add(field("actions"), "may have mark_uncollectible in the last step alone");
        }
    }
    for action in [DunningAction::LateFee, DunningAction::SuspendBookings] {
        if terms.steps.iter().filter(|step| step.actions.contains(&action)).count() > 1 {
            faults.add("steps", format!("may have {} in one step alone", action.as_str()));
        }
    }
    let has_fee = terms.steps.iter().any(|step| step.actions.contains(&DunningAction::LateFee));
    match &mut terms.late_fee {
        None => faults.require(!has_fee, "late_fee", "is needed: a step has late_fee"),
        Some(_) if !has_fee => faults.add("late_fee", "is in no step; give one the action late_fee"),
        Some(LateFee::Fixed { amount_minor, currency: of }) => {
            faults.require(
                (1..=AMOUNT_MAX).contains(amount_minor),
                "late_fee.amount_minor",
                "must be above 0",
            );
            let is_known = Currency::from_code(of).is_some_and(|c| c.exponent().is_some());
            faults.require(is_known, "late_fee.currency", "must be an ISO 4217 code such as \"EUR\"");
            if let Some(currency) = currency.filter(|currency| *currency != of.as_str()) {
                faults.add(
                    "late_fee.currency",
                    format!("must be {currency}, which the organization is billed in"),
                );
            }
        }
        Some(LateFee::Percent { percent }) => {
            *percent = percent.normalize();
            let is_share = *percent > Decimal::ZERO && *percent <= Decimal::ONE_HUNDRED;
            faults.require(
                is_share && percent.scale() <= PERCENT_SCALE_MAX,
                "late_fee.percent",
                "must be above 0, at most 100, with at most 4 decimals",
            );
        }
    }
    faults.finish(WHAT)?;
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::dunning::types::DunningStep;

    fn told(terms: DunningTerms, currency: Option<&str>) -> String {
        match checked(terms, currency) {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        }
    }

    #[test]
    fn terms_that_make_no_sense_are_told_with_all_their_faults() {
        assert_eq!(told(DunningTerms::default(), Some("EUR")), "");
        let none = DunningTerms { payment_terms_days: 0, steps: Vec::new(), late_fee: None };
        assert_eq!(told(none, None), "", "no dunning at all");
        let step =
            |after_days, actions: &[DunningAction]| DunningStep { after_days, actions: actions.to_vec() };
        let wrong = DunningTerms {
            payment_terms_days: 366,
            steps: vec![
                step(-61, &[DunningAction::Reminder]),
                step(5, &[DunningAction::MarkUncollectible]),
                step(5, &[]),
                step(6, &[DunningAction::Reminder, DunningAction::Reminder]),
                step(7, &[DunningAction::SuspendBookings]),
                step(8, &[DunningAction::SuspendBookings, DunningAction::LateFee]),
            ],
            late_fee: None,
        };
        let message = told(wrong, None);
        for part in [
            "payment_terms_days: must be 0 to 365",
            "steps[0].after_days: must be -60",
            "steps[1].actions: may have mark_uncollectible",
            "steps[2].after_days: must be after",
            "steps[2].actions: must be at least one",
            "steps[3].actions: must be at least one, each once",
            "may have suspend_bookings in one step alone",
            "late_fee: is needed",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
        let early = DunningTerms {
            payment_terms_days: 2,
            steps: vec![step(-3, &[DunningAction::Reminder]), step(-1, &[DunningAction::RetryPayment])],
            late_fee: Some(LateFee::Percent { percent: Decimal::ONE }),
        };
        let message = told(early, None);
        for part in ["steps[0].after_days: must not be before", "a reminder alone", "late_fee: is in no step"]
        {
            assert!(message.contains(part), "{part} in {message}");
        }
        let with = |late_fee| DunningTerms {
            payment_terms_days: 14,
            steps: vec![step(3, &[DunningAction::LateFee])],
            late_fee: Some(late_fee),
        };
        let percent = |text: &str| LateFee::Percent { percent: text.parse().unwrap() };
        let fixed =
            |amount_minor, currency: &str| LateFee::Fixed { amount_minor, currency: currency.to_owned() };
        for (fee, fault) in [
            (percent("0"), "late_fee.percent"),
            (percent("100.1"), "late_fee.percent"),
            (percent("1.23456"), "late_fee.percent"),
            (percent("2.50000"), ""),
            (fixed(0, "EUR"), "late_fee.amount_minor"),
            (fixed(5, "EURO"), "late_fee.currency"),
            (fixed(5, "DKK"), "late_fee.currency: must be EUR"),
            (fixed(5, "EUR"), ""),
        ] {
            let message = told(with(fee.clone()), Some("EUR"));
            assert!(message.contains(fault) && message.is_empty() == fault.is_empty(), "{fee:?}: {message}");
        }
    }
}
