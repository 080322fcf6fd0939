//! A customer who has not paid, with time and cards in the test's hand.

use super::*;

pub(super) const DAY_S: u64 = 86_400;
/// From noon of the 23rd to the end of a day 14 days later, in Copenhagen.
pub(super) const TO_DUE_S: u64 = 14 * DAY_S + 11 * 3_600;

/// A gateway that answers as it is told, in turn, and remembers what it was asked to charge.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    answers: Mutex<Vec<Result<Outcome, NoAnswer>>>,
    charged: Mutex<Vec<Charge>>,
}

impl Scripted {
    pub(super) fn of(answers: &[Result<Outcome, NoAnswer>]) -> Arc<Self> {
        let answers = answers.iter().rev().cloned().collect();
        Arc::new(Self { answers: Mutex::new(answers), charged: Mutex::default() })
    }

    pub(super) fn charged(&self) -> Vec<Charge> {
        self.charged.lock().unwrap().clone()
    }
}

#[async_trait]
impl Gateway for Scripted {
    async fn charge(&self, charge: &Charge) -> Result<Outcome, NoAnswer> {
        self.charged.lock().unwrap().push(charge.clone());
        self.answers.lock().unwrap().pop().expect("nobody said that a card is charged")
    }

    async fn confirm(&self, _: &Charge) -> Result<Outcome, NoAnswer> {
        Ok(Outcome::Succeeded)
    }

    async fn cancel(&self, _: &Charge) -> Result<Outcome, NoAnswer> {
        Ok(Outcome::Failed(ErrorType::ActionExpired))
    }

    async fn look_up(&self, charge: &Charge) -> Result<Outcome, NoAnswer> {
        let is_known = self.charged().iter().any(|known| known.payment_id == charge.payment_id);
        Ok(if is_known { Outcome::Failed(ErrorType::Declined) } else { Outcome::Unknown })
    }

    async fn refund(&self, _: &str, _: &Charge) -> Result<Outcome, NoAnswer> {
        Ok(Outcome::Succeeded)
    }
}

pub(super) async fn post(server: &Server, path: &str, key: &str, body: Value) -> (u16, Value) {
    let answer = server.send(&format!("POST {path}"), &[("idempotency-key", key)], Some(&body)).await;
    (answer.status, answer.json())
}

pub(super) async fn put_policy(server: &Server, path: &str, version: i64, terms: &Value) -> (u16, Value) {
    let tag = format!("\"{version}\"");
    let answer = server.send(&format!("PUT {path}"), &[("if-match", &tag)], Some(terms)).await;
    (answer.status, answer.json())
}

/// A server, its customer, and an invoice of 10.88 that became final under these terms.
pub(super) async fn billed(terms: Option<Value>) -> (Server, String, String) {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    if let Some(terms) = terms {
        let (status, answer) = put_policy(&server, "/v1/dunning-policy", 0, &terms).await;
        assert_eq!(status, 200, "{answer}");
    }
    server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);
    let invoice = only_invoice(&server, |i| i["total_minor"] == 1_088).await;
    let (status, done) = finalize(&server, &invoice, "finalize").await;
    assert_eq!(status, 200, "{done}");
    (server, organization, invoice["id"].as_str().unwrap().to_owned())
}

pub(super) fn steps(steps: &[(i64, &[&str])]) -> Value {
    let steps: Vec<Value> =
        steps.iter().map(|(day, actions)| json!({ "after_days": day, "actions": actions })).collect();
    json!({ "payment_terms_days": 14, "steps": steps })
}

/// The database of a server that has stopped, and time and cards in the test's hand.
pub(super) struct Stage {
    pub(super) place: Place,
    pub(super) db: Db,
    pub(super) clock: Arc<ManualClock>,
    pub(super) gateway: Arc<Scripted>,
    pub(super) invoice: String,
}

impl Stage {
    pub(super) async fn of(server: Server, invoice: &str, answers: &[Result<Outcome, NoAnswer>]) -> Self {
        let clock = server.clock.clone();
        Self::at(stopped(server).await, clock, (invoice, answers)).await
    }

    pub(super) async fn at(
        place: Place,
        clock: Arc<ManualClock>,
        (invoice, answers): (&str, &[Result<Outcome, NoAnswer>]),
    ) -> Self {
        let db = open(&place).await;
        Self { place, db, clock, gateway: Scripted::of(answers), invoice: invoice.to_owned() }
    }

    pub(super) fn dunner(&self) -> Dunner {
        Dunner { db: self.db.clone(), gateway: self.gateway.clone(), clock: self.clock.clone() }
    }

    pub(super) fn upkeep(&self) -> Upkeep {
        Upkeep { db: self.db.clone(), gateway: self.gateway.clone(), clock: self.clock.clone() }
    }

    /// Looks until nothing is due any more.
    pub(super) async fn look(&self) {
        let dunner = self.dunner();
        let mut looks = 0;
        while dunner.look().await.unwrap() > 0 {
            looks += 1;
            assert!(looks < 50, "it comes to no end");
        }
    }

    pub(super) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) async fn case(&self) -> Dunning {
        let mut conn = self.db.read().await.unwrap();
        dunning::get(&mut conn, &self.invoice.parse().unwrap()).await.unwrap()
    }

    /// What became of the actions of each step.
    pub(super) async fn taken(&self) -> Vec<Vec<(&'static str, ActionOutcome)>> {
        let taken = self.case().await.case.taken;
        let actions = taken.iter().map(|step| step.actions.iter().map(|a| (a.action.as_str(), a.outcome)));
        actions.map(Iterator::collect).collect()
    }

    /// Kind and text of what the organization is told.
    pub(super) async fn told(&self) -> Vec<(String, String)> {
        let mut conn = self.db.read().await.unwrap();
        let sql = "SELECT kind, body FROM notification_outbox ORDER BY created_us, subject_id";
        let rows = sqlx::query(sql).fetch_all(&mut *conn).await.unwrap();
        rows.iter().map(|r| (r.get("kind"), r.get("body"))).collect()
    }

    /// How often each type of event happened.
    pub(super) async fn events(&self) -> BTreeMap<String, usize> {
        let mut conn = self.db.read().await.unwrap();
        let mut counts = BTreeMap::new();
        for event in api::events::after(&mut conn, 0, 10_000).await.unwrap() {
            *counts.entry(event.event_type).or_default() += 1;
        }
        counts
    }
}

pub(super) fn kinds(told: &[(String, String)]) -> Vec<&str> {
    told.iter().map(|(kind, _)| kind.as_str()).collect()
}

/// A stage whose customer has tried a card, a day after the invoice was due.
pub(super) async fn tried(token: &str, answers: &[Result<Outcome, NoAnswer>]) -> Stage {
    let terms = steps(&[(1, &["retry_payment", "reminder"]), (7, &["retry_payment"])]);
    let (server, _, id) = billed(Some(terms)).await;
    let card = json!({ "invoice_id": id, "method": { "type": "card", "token": token } });
    let (status, failed) = post(&server, "/v1/payments", "p", card).await;
    assert_eq!((status, &failed["status"]), (201, &json!("failed")), "{failed}");
    let stage = Stage::of(server, &id, answers).await;
    stage.wait(TO_DUE_S + DAY_S);
    stage
}

/// Ten percent and no bookings at once, seven days later given up.
pub(super) fn hard_terms() -> Value {
    json!({
        "payment_terms_days": 14, "late_fee": { "type": "percent", "percent": "10" },
        "steps": [
            { "after_days": 0, "actions": ["late_fee", "suspend_bookings", "reminder"] },
            { "after_days": 7, "actions": ["mark_uncollectible"] }],
    })
}
