//! Which role may call which route, and whose data the route reaches: the one table of it.
//!
//! `entry.rs` applies it before any handler. A route that is not here is refused, and a test finds
//! it; `docs/api.md` shows the same table to people, and a test tries every role on every route by
//! that. An owner may do everything, so owners are not named.

use crate::{
    caller::Caller,
    users::role::Role::{self, Analyst, Billing, DeviceAdmin, Dispatcher, Driver},
};

/// Whose data a route reaches, for a caller who is of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// No key is asked for: nothing of anybody's is told, or the request proves itself in another way.
    Open,
    /// The handler narrows what it tells or takes to the caller's organization.
    Narrowed,
    /// The thing that `{id}` names must be the organization's; else it is not found.
    Of(Thing),
    /// The operator's callers alone.
    Operator,
}

/// What `{id}` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    Organization,
    User,
    ApiKey,
    Session,
    Vehicle,
    Trip,
    TripCorrection,
    Tariff,
    Invoice,
    Booking,
    WebhookEndpoint,
    Geofence,
    CampaignSet,
    CampaignDeployment,
    Command,
    Device,
    Certificate,
    MaintenanceSchedule,
    WorkOrder,
    Driver,
    DriverAssignment,
    Group,
    AlertRule,
    Alert,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    roles: &'static [Role],
    pub(crate) reach: Reach,
}

const EVERYBODY: &[Role] = &Role::ALL;
const NOBODY_ELSE: &[Role] = &[];

const fn rule(method: &'static str, route: &'static str, roles: &'static [Role], reach: Reach) -> Rule {
    Rule { method, route, roles, reach }
}

/// The table.
pub(crate) const RULES: &[Rule] = &[
    rule("GET", "/health", EVERYBODY, Reach::Open),
    rule("GET", "/ready", EVERYBODY, Reach::Open),
    rule("GET", "/metrics", EVERYBODY, Reach::Open),
    rule("GET", "/v1/openapi.json", EVERYBODY, Reach::Narrowed),
    rule("GET", "/v1/basemap", EVERYBODY, Reach::Narrowed),
    // sign_in: who signs in proves it at the provider
    rule("GET", "/v1/sign-in", EVERYBODY, Reach::Open),
    rule("GET", "/v1/sign-in/start", EVERYBODY, Reach::Open),
    rule("GET", "/v1/sign-in/callback", EVERYBODY, Reach::Open),
    rule("POST", "/v1/sign-out", EVERYBODY, Reach::Narrowed),
    rule("GET", "/v1/sessions", EVERYBODY, Reach::Narrowed),
    rule("DELETE", "/v1/sessions/{id}", EVERYBODY, Reach::Of(Thing::Session)),
    // users
    rule("GET", "/v1/me", EVERYBODY, Reach::Narrowed),
    rule("GET", "/v1/organizations", EVERYBODY, Reach::Narrowed),
    rule("POST", "/v1/organizations", NOBODY_ELSE, Reach::Operator),
    rule("GET", "/v1/organizations/{id}", EVERYBODY, Reach::Of(Thing::Organization)),
    rule("GET", "/v1/users", NOBODY_ELSE, Reach::Narrowed),
    rule("POST", "/v1/users", NOBODY_ELSE, Reach::Narrowed),
    rule("GET", "/v1/users/{id}", NOBODY_ELSE, Reach::Of(Thing::User)),
    rule("PATCH", "/v1/users/{id}", NOBODY_ELSE, Reach::Of(Thing::User)),
    rule("GET", "/v1/api-keys", NOBODY_ELSE, Reach::Narrowed),
    rule("POST", "/v1/api-keys", NOBODY_ELSE, Reach::Narrowed),
    rule("GET", "/v1/api-keys/{id}", NOBODY_ELSE, Reach::Of(Thing::ApiKey)),
    rule("DELETE", "/v1/api-keys/{id}", NOBODY_ELSE, Reach::Of(Thing::ApiKey)),
    rule("GET", "/v1/audit-log", NOBODY_ELSE, Reach::Narrowed),
    rule("GET", "/v1/notifications", &[Dispatcher, Analyst, Driver, Billing], Reach::Narrowed),
    // vehicles
    rule("GET", "/v1/vehicles", EVERYBODY, Reach::Narrowed),
    // A vehicle's readings are whoever's it is: only the operator says whose.
    rule("POST", "/v1/vehicles", &[Dispatcher, DeviceAdmin], Reach::Operator),
    rule("GET", "/v1/vehicles/{id}", EVERYBODY, Reach::Of(Thing::Vehicle)),
    rule("PATCH", "/v1/vehicles/{id}", &[Dispatcher, DeviceAdmin], Reach::Of(Thing::Vehicle)),
    rule("GET", "/v1/fleet/status", &[Dispatcher, Analyst, Driver, DeviceAdmin], Reach::Narrowed),
    rule("GET", "/v1/tracking", &[Dispatcher, Analyst, Driver, DeviceAdmin], Reach::Narrowed),
    rule("GET", "/v1/geofences", &[Dispatcher, Analyst, Driver, DeviceAdmin], Reach::Narrowed),
    rule("POST", "/v1/geofences", &[Dispatcher], Reach::Narrowed),
    rule(
        "GET",
        "/v1/geofences/{id}",
        &[Dispatcher, Analyst, Driver, DeviceAdmin],
        Reach::Of(Thing::Geofence),
    ),
    rule("PATCH", "/v1/geofences/{id}", &[Dispatcher], Reach::Of(Thing::Geofence)),
    rule("DELETE", "/v1/geofences/{id}", &[Dispatcher], Reach::Of(Thing::Geofence)),
    rule(
        "GET",
        "/v1/geofences/{id}/vehicles",
        &[Dispatcher, Analyst, Driver, DeviceAdmin],
        Reach::Of(Thing::Geofence),
    ),
    rule("GET", "/v1/groups", &[Dispatcher, Analyst, Driver, DeviceAdmin], Reach::Narrowed),
    rule("POST", "/v1/groups", &[Dispatcher], Reach::Narrowed),
    rule("GET", "/v1/groups/{id}", &[Dispatcher, Analyst, Driver, DeviceAdmin], Reach::Of(Thing::Group)),
    rule("PATCH", "/v1/groups/{id}", &[Dispatcher], Reach::Of(Thing::Group)),
    rule("DELETE", "/v1/groups/{id}", &[Dispatcher], Reach::Of(Thing::Group)),
    rule(
        "GET",
        "/v1/groups/{id}/vehicles",
        &[Dispatcher, Analyst, Driver, DeviceAdmin],
        Reach::Of(Thing::Group),
    ),
    rule("POST", "/v1/groups/{id}/vehicles", &[Dispatcher], Reach::Of(Thing::Group)),
    rule("PUT", "/v1/groups/{id}/vehicles/{vehicle_id}", &[Dispatcher], Reach::Of(Thing::Group)),
    rule("DELETE", "/v1/groups/{id}/vehicles/{vehicle_id}", &[Dispatcher], Reach::Of(Thing::Group)),
    // agents
    rule("GET", "/v1/agents", &[Dispatcher, Analyst, DeviceAdmin], Reach::Narrowed),
    rule("GET", "/v1/vehicles/{id}/agent", &[Dispatcher, Analyst, DeviceAdmin], Reach::Of(Thing::Vehicle)),
    rule("GET", "/v1/campaign-sets", &[Analyst, DeviceAdmin], Reach::Narrowed),
    rule("POST", "/v1/campaign-sets", &[DeviceAdmin], Reach::Narrowed),
    rule("GET", "/v1/campaign-sets/{id}", &[Analyst, DeviceAdmin], Reach::Of(Thing::CampaignSet)),
    rule("PATCH", "/v1/campaign-sets/{id}", &[DeviceAdmin], Reach::Of(Thing::CampaignSet)),
    rule("DELETE", "/v1/campaign-sets/{id}", &[DeviceAdmin], Reach::Of(Thing::CampaignSet)),
    rule("POST", "/v1/campaign-sets/{id}/check", &[Analyst, DeviceAdmin], Reach::Of(Thing::CampaignSet)),
    rule("GET", "/v1/campaign-deployments", &[Analyst, DeviceAdmin], Reach::Narrowed),
    rule("POST", "/v1/campaign-deployments", &[DeviceAdmin], Reach::Narrowed),
    rule(
        "GET",
        "/v1/campaign-deployments/{id}",
        &[Analyst, DeviceAdmin],
        Reach::Of(Thing::CampaignDeployment),
    ),
    rule(
        "GET",
        "/v1/campaign-deployments/{id}/vehicles",
        &[Analyst, DeviceAdmin],
        Reach::Of(Thing::CampaignDeployment),
    ),
    rule("GET", "/v1/commands", &[Dispatcher, DeviceAdmin], Reach::Narrowed),
    rule("POST", "/v1/commands", &[DeviceAdmin], Reach::Narrowed),
    rule("GET", "/v1/commands/{id}", &[Dispatcher, DeviceAdmin], Reach::Of(Thing::Command)),
    // devices
    rule("GET", "/v1/devices", &[Dispatcher, Analyst, DeviceAdmin], Reach::Narrowed),
    rule("POST", "/v1/devices", &[DeviceAdmin], Reach::Narrowed),
    rule("GET", "/v1/devices/{id}", &[Dispatcher, Analyst, DeviceAdmin], Reach::Of(Thing::Device)),
    rule("PATCH", "/v1/devices/{id}", &[DeviceAdmin], Reach::Of(Thing::Device)),
    rule("POST", "/v1/devices/{id}/retire", &[DeviceAdmin], Reach::Of(Thing::Device)),
    rule("POST", "/v1/devices/{id}/enrolment-tokens", &[DeviceAdmin], Reach::Of(Thing::Device)),
    rule("POST", "/v1/devices/{id}/certificates", &[DeviceAdmin], Reach::Of(Thing::Device)),
    // Units have no key: a token or a proof says who they are.
    rule("POST", "/v1/enrolments", EVERYBODY, Reach::Open),
    rule("POST", "/v1/enrolments/renew", EVERYBODY, Reach::Open),
    rule("GET", "/v1/certificates", &[Dispatcher, Analyst, DeviceAdmin], Reach::Narrowed),
    rule("GET", "/v1/certificates/{id}", &[Dispatcher, Analyst, DeviceAdmin], Reach::Of(Thing::Certificate)),
    rule("POST", "/v1/certificates/{id}/revoke", &[DeviceAdmin], Reach::Of(Thing::Certificate)),
    rule("GET", "/v1/certificate-authority", EVERYBODY, Reach::Narrowed),
    rule("GET", "/v1/certificate-authority/crl.pem", EVERYBODY, Reach::Open),
    rule("GET", "/v1/certificate-authority/crl.der", EVERYBODY, Reach::Open),
    rule("GET", "/v1/signing-keys", &[Dispatcher, Analyst, DeviceAdmin], Reach::Narrowed),
    // maintenance
    rule("GET", "/v1/maintenance-schedules", &[Dispatcher, Analyst, Driver], Reach::Narrowed),
    rule("POST", "/v1/maintenance-schedules", &[Dispatcher], Reach::Narrowed),
    rule(
        "GET",
        "/v1/maintenance-schedules/{id}",
        &[Dispatcher, Analyst, Driver],
        Reach::Of(Thing::MaintenanceSchedule),
    ),
    rule("PATCH", "/v1/maintenance-schedules/{id}", &[Dispatcher], Reach::Of(Thing::MaintenanceSchedule)),
    rule("DELETE", "/v1/maintenance-schedules/{id}", &[Dispatcher], Reach::Of(Thing::MaintenanceSchedule)),
    rule("POST", "/v1/maintenance-schedules/{id}/done", &[Dispatcher], Reach::Of(Thing::MaintenanceSchedule)),
    rule("GET", "/v1/maintenance-due", &[Dispatcher, Analyst, Driver], Reach::Narrowed),
    rule("GET", "/v1/work-orders", &[Dispatcher, Analyst, Driver, Billing], Reach::Narrowed),
    rule("POST", "/v1/work-orders", &[Dispatcher], Reach::Narrowed),
    rule("GET", "/v1/work-orders/{id}", &[Dispatcher, Analyst, Driver, Billing], Reach::Of(Thing::WorkOrder)),
    rule("PATCH", "/v1/work-orders/{id}", &[Dispatcher], Reach::Of(Thing::WorkOrder)),
    rule("POST", "/v1/work-orders/{id}/complete", &[Dispatcher], Reach::Of(Thing::WorkOrder)),
    rule("POST", "/v1/work-orders/{id}/cancel", &[Dispatcher], Reach::Of(Thing::WorkOrder)),
    // drivers
    rule("GET", "/v1/drivers", &[Dispatcher, Analyst, Billing], Reach::Narrowed),
    rule("POST", "/v1/drivers", &[Dispatcher], Reach::Narrowed),
    rule("GET", "/v1/drivers/{id}", &[Dispatcher, Analyst, Billing], Reach::Of(Thing::Driver)),
    rule("PATCH", "/v1/drivers/{id}", &[Dispatcher], Reach::Of(Thing::Driver)),
    rule("GET", "/v1/drivers/{id}/summary", &[Dispatcher, Analyst, Billing], Reach::Of(Thing::Driver)),
    rule("GET", "/v1/driver-assignments", &[Dispatcher, Analyst, Billing], Reach::Narrowed),
    rule("POST", "/v1/driver-assignments", &[Dispatcher], Reach::Narrowed),
    rule(
        "GET",
        "/v1/driver-assignments/{id}",
        &[Dispatcher, Analyst, Billing],
        Reach::Of(Thing::DriverAssignment),
    ),
    rule("PATCH", "/v1/driver-assignments/{id}", &[Dispatcher], Reach::Of(Thing::DriverAssignment)),
    rule("DELETE", "/v1/driver-assignments/{id}", &[Dispatcher], Reach::Of(Thing::DriverAssignment)),
    rule("POST", "/v1/driver-assignments/{id}/end", &[Dispatcher], Reach::Of(Thing::DriverAssignment)),
    // alerts: who may ask the lake may have it asked
    rule("GET", "/v1/alert-rules", &[Dispatcher, Analyst, DeviceAdmin], Reach::Narrowed),
    rule("POST", "/v1/alert-rules", &[Analyst], Reach::Narrowed),
    rule("POST", "/v1/alert-rules:try", &[Analyst], Reach::Narrowed),
    rule("GET", "/v1/alert-rules/{id}", &[Dispatcher, Analyst, DeviceAdmin], Reach::Of(Thing::AlertRule)),
    rule("PATCH", "/v1/alert-rules/{id}", &[Analyst], Reach::Of(Thing::AlertRule)),
    rule("DELETE", "/v1/alert-rules/{id}", &[Analyst], Reach::Of(Thing::AlertRule)),
    rule("GET", "/v1/alerts", &[Dispatcher, Analyst, DeviceAdmin], Reach::Narrowed),
    rule("GET", "/v1/alerts/{id}", &[Dispatcher, Analyst, DeviceAdmin], Reach::Of(Thing::Alert)),
    rule("POST", "/v1/alerts/{id}/acknowledge", &[Dispatcher, Analyst, DeviceAdmin], Reach::Of(Thing::Alert)),
    // trips
    rule("GET", "/v1/trips", &[Dispatcher, Analyst, Driver, Billing], Reach::Narrowed),
    rule("GET", "/v1/trips/{id}", &[Dispatcher, Analyst, Driver, Billing], Reach::Of(Thing::Trip)),
    rule("GET", "/v1/trips/{id}/revisions", &[Dispatcher, Analyst, Billing], Reach::Of(Thing::Trip)),
    rule("GET", "/v1/trips/{id}/positions", &[Dispatcher, Analyst, Driver], Reach::Of(Thing::Trip)),
    rule("POST", "/v1/trips:merge", &[Dispatcher], Reach::Narrowed),
    rule("POST", "/v1/trips:split", &[Dispatcher], Reach::Narrowed),
    rule("POST", "/v1/trips:mark", &[Dispatcher], Reach::Narrowed),
    rule("GET", "/v1/trip-corrections", &[Dispatcher, Analyst, Billing], Reach::Narrowed),
    rule(
        "GET",
        "/v1/trip-corrections/{id}",
        &[Dispatcher, Analyst, Billing],
        Reach::Of(Thing::TripCorrection),
    ),
    rule("DELETE", "/v1/trip-corrections/{id}", &[Dispatcher], Reach::Of(Thing::TripCorrection)),
    // billing
    rule("GET", "/v1/tariffs", &[Analyst, Billing], Reach::Narrowed),
    rule("POST", "/v1/tariffs", &[Billing], Reach::Operator),
    rule("GET", "/v1/tariffs/{id}", &[Analyst, Billing], Reach::Of(Thing::Tariff)),
    rule("PUT", "/v1/tariffs/{id}", &[Billing], Reach::Operator),
    rule("GET", "/v1/organizations/{id}/tariff", &[Analyst, Billing], Reach::Of(Thing::Organization)),
    rule("PUT", "/v1/organizations/{id}/tariff", &[Billing], Reach::Operator),
    rule("GET", "/v1/invoices", &[Analyst, Billing], Reach::Narrowed),
    rule("POST", "/v1/invoices", &[Billing], Reach::Operator),
    rule("GET", "/v1/invoices/{id}", &[Analyst, Billing], Reach::Of(Thing::Invoice)),
    rule("GET", "/v1/invoices/{id}/pdf", &[Analyst, Billing], Reach::Of(Thing::Invoice)),
    rule("GET", "/v1/invoices/{id}/csv", &[Analyst, Billing], Reach::Of(Thing::Invoice)),
    rule("POST", "/v1/invoices/{id}/finalize", &[Billing], Reach::Operator),
    rule("GET", "/v1/invoices/{id}/lines/{line_id}/evidence", &[Analyst, Billing], Reach::Of(Thing::Invoice)),
    rule("GET", "/v1/credit-notes", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/credit-notes/{id}", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/credit-notes/{id}/pdf", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/credit-notes/{id}/lines/{line_id}/evidence", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/wallets", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/wallets/{id}", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/wallets/{id}/entries", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/wallet-holds", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/wallet-holds/{id}", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/payments", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/payments/{id}", &[Analyst, Billing], Reach::Operator),
    rule("GET", "/v1/refunds", &[Analyst, Billing], Reach::Operator),
    rule("POST", "/v1/invoices/{id}/mark-paid", &[Billing], Reach::Operator),
    rule("POST", "/v1/invoices/{id}/void", &[Billing], Reach::Operator),
    rule("POST", "/v1/tariff-previews", &[Billing], Reach::Operator),
    rule("POST", "/v1/wallets", &[Billing], Reach::Operator),
    rule("POST", "/v1/wallets/{id}/top-ups", &[Billing], Reach::Operator),
    rule("POST", "/v1/wallet-holds", &[Billing], Reach::Operator),
    rule("POST", "/v1/wallet-holds/{id}/capture", &[Billing], Reach::Operator),
    rule("POST", "/v1/wallet-holds/{id}/release", &[Billing], Reach::Operator),
    rule("POST", "/v1/payments", &[Billing], Reach::Operator),
    rule("POST", "/v1/payments/{id}/confirm", &[Billing], Reach::Operator),
    rule("POST", "/v1/refunds", &[Billing], Reach::Operator),
    rule("GET", "/v1/dunning-policy", &[Analyst, Billing], Reach::Operator),
    rule("PUT", "/v1/dunning-policy", &[Billing], Reach::Operator),
    rule("GET", "/v1/organizations/{id}/dunning-policy", &[Analyst, Billing], Reach::Of(Thing::Organization)),
    rule("PUT", "/v1/organizations/{id}/dunning-policy", &[Billing], Reach::Operator),
    rule("DELETE", "/v1/organizations/{id}/dunning-policy", &[Billing], Reach::Operator),
    rule("GET", "/v1/invoices/{id}/dunning", &[Analyst, Billing], Reach::Of(Thing::Invoice)),
    rule("POST", "/v1/invoices/{id}/dunning/pause", &[Billing], Reach::Operator),
    rule("POST", "/v1/invoices/{id}/dunning/resume", &[Billing], Reach::Operator),
    // bookings
    rule("GET", "/v1/vehicles/available", &[Dispatcher, Analyst, Driver], Reach::Narrowed),
    rule("GET", "/v1/bookings", &[Dispatcher, Analyst, Driver, Billing], Reach::Narrowed),
    rule("POST", "/v1/bookings", &[Dispatcher, Driver], Reach::Narrowed),
    rule("GET", "/v1/bookings/{id}", &[Dispatcher, Analyst, Driver, Billing], Reach::Of(Thing::Booking)),
    rule("POST", "/v1/bookings:quote", &[Dispatcher, Driver], Reach::Narrowed),
    rule("POST", "/v1/bookings/{id}/quote-extension", &[Dispatcher, Driver], Reach::Of(Thing::Booking)),
    rule("POST", "/v1/bookings/{id}/extend", &[Dispatcher, Driver], Reach::Of(Thing::Booking)),
    rule("POST", "/v1/bookings/{id}/cancel", &[Dispatcher, Driver], Reach::Of(Thing::Booking)),
    rule("POST", "/v1/bookings/{id}/start", &[Dispatcher, Driver], Reach::Of(Thing::Booking)),
    rule("POST", "/v1/bookings/{id}/finish", &[Dispatcher, Driver], Reach::Of(Thing::Booking)),
    // webhooks
    rule("GET", "/v1/webhook-endpoints", NOBODY_ELSE, Reach::Narrowed),
    rule("POST", "/v1/webhook-endpoints", NOBODY_ELSE, Reach::Narrowed),
    rule("GET", "/v1/webhook-endpoints/{id}", NOBODY_ELSE, Reach::Of(Thing::WebhookEndpoint)),
    rule("PATCH", "/v1/webhook-endpoints/{id}", NOBODY_ELSE, Reach::Of(Thing::WebhookEndpoint)),
    rule("DELETE", "/v1/webhook-endpoints/{id}", NOBODY_ELSE, Reach::Of(Thing::WebhookEndpoint)),
    rule("POST", "/v1/webhook-endpoints/{id}/rotate-secret", NOBODY_ELSE, Reach::Of(Thing::WebhookEndpoint)),
    rule("POST", "/v1/webhook-endpoints/{id}/ping", NOBODY_ELSE, Reach::Of(Thing::WebhookEndpoint)),
    rule("GET", "/v1/webhook-endpoints/{id}/deliveries", NOBODY_ELSE, Reach::Of(Thing::WebhookEndpoint)),
    rule(
        "POST",
        "/v1/webhook-endpoints/{id}/deliveries/{delivery_id}/replay",
        NOBODY_ELSE,
        Reach::Of(Thing::WebhookEndpoint),
    ),
    // of no domain
    rule("POST", "/v1/sql", &[Analyst], Reach::Narrowed),
    rule("GET", "/v1/events", &[Analyst], Reach::Operator),
];

/// Asks, but changes nothing: left out of the audit log.
const READING_POSTS: &[&str] = &[
    "/v1/sql",
    "/v1/tariff-previews",
    "/v1/campaign-sets/{id}/check",
    "/v1/alert-rules:try",
    "/v1/bookings:quote",
    "/v1/bookings/{id}/quote-extension",
];

/// A browser is sent there, and comes in: kept in the audit log.
const WRITING_GETS: &[&str] = &["/v1/sign-in/callback"];

impl Rule {
    /// Whether a role may.
    pub(crate) fn allows(&self, role: Role) -> bool {
        role == Role::Owner || self.roles.contains(&role)
    }

    /// Whether it changes something.
    pub(crate) fn writes(&self) -> bool {
        match self.method {
            "GET" => WRITING_GETS.contains(&self.route),
            _ => !READING_POSTS.contains(&self.route),
        }
    }
}

/// The rule of a route; a HEAD is answered as a GET.
pub(crate) fn rule_of(method: &str, route: &str) -> Option<&'static Rule> {
    let method = if method == "HEAD" { "GET" } else { method };
    RULES.iter().find(|rule| rule.route == route && rule.method == method)
}

/// The routes below `/v1` that a caller may call. Of things with an id, as far as these are theirs.
pub(crate) fn of(caller: &Caller) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(|rule| {
        let is_theirs = match rule.reach {
            Reach::Open => false,
            Reach::Operator => caller.organization().is_none(),
            Reach::Narrowed | Reach::Of(_) => true,
        };
        is_theirs && caller.refused_role(|role| rule.allows(role)).is_none()
    })
}

/// Whether a route is known with any method.
pub(crate) fn knows(route: &str) -> bool {
    RULES.iter().any(|rule| rule.route == route)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A new route without a rule is refused when it is called; here it is found before.
    #[test]
    fn every_route_has_a_rule_and_every_rule_a_route() {
        let description: serde_json::Value = serde_json::from_str(&crate::serve::openapi_json()).unwrap();
        let mut routes = BTreeSet::from([("GET".to_owned(), "/v1/openapi.json".to_owned())]);
        for (route, methods) in description["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                routes.insert((method.to_uppercase(), route.clone()));
            }
        }
        let ruled: BTreeSet<(String, String)> =
            RULES.iter().map(|rule| (rule.method.to_owned(), rule.route.to_owned())).collect();
        assert_eq!(ruled.len(), RULES.len(), "one rule a route");
        assert_eq!(ruled, routes);
    }

    #[test]
    fn what_is_checked_by_its_id_has_one_in_its_route() {
        for rule in RULES {
            if matches!(rule.reach, Reach::Of(_)) {
                assert!(rule.route.contains("/{id}"), "{}", rule.route);
            }
            // Outside /v1 `entry.rs` asks nobody for a key.
            assert!(rule.reach == Reach::Open || rule.route.starts_with("/v1/"), "{}", rule.route);
        }
    }

    /// What needs no key below /v1, all of it: another is a decision.
    #[test]
    fn units_lists_of_revoked_certificates_and_who_signs_in_alone_need_no_key() {
        let open = RULES.iter().filter(|rule| rule.reach == Reach::Open && rule.route.starts_with("/v1/"));
        let open: BTreeSet<String> = open.map(|rule| format!("{} {}", rule.method, rule.route)).collect();
        let meant = [
            "GET /v1/certificate-authority/crl.der",
            "GET /v1/certificate-authority/crl.pem",
            "GET /v1/sign-in",
            "GET /v1/sign-in/callback",
            "GET /v1/sign-in/start",
            "POST /v1/enrolments",
            "POST /v1/enrolments/renew",
        ];
        assert_eq!(open, meant.map(str::to_owned).into());
    }
}
