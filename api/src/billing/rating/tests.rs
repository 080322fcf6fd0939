use proptest::prelude::*;

use super::*;
use crate::billing::tariff::Element;

fn terms(json: serde_json::Value) -> TariffTerms {
    let terms: TariffTerms = serde_json::from_value(json).unwrap();
    terms.check().unwrap();
    terms
}

fn pay_per_use() -> TariffTerms {
    terms(serde_json::json!({
        "name": "Pay per use", "currency": "EUR", "tax_percent": "25",
        "elements": [{ "components": [
            { "type": "FLAT", "price": "1.00" },
            { "type": "DISTANCE", "price": "0.29" },
            { "type": "TIME", "price": "4.80" },
            { "type": "IDLE", "price": "6.00" },
        ]}],
    }))
}

fn alone(terms: &TariffTerms, usage: &TripUsage) -> Result<Vec<RatedComponent>, RatingError> {
    rate(terms, usage, &MonthRest::new())
}

fn usage(distance_m: i64, duration_s: i64, idle_s: i64) -> TripUsage {
    TripUsage { distance_m, duration_s, idle_s, energy_wh: 0, start_time: Timestamp(0) }
}

fn amounts(terms: &TariffTerms, usage: &TripUsage) -> Vec<(&'static str, String, i64)> {
    let rated = alone(terms, usage).unwrap();
    rated.iter().map(|r| (r.component.as_str(), r.quantity.to_string(), r.amount_minor)).collect()
}

#[test]
fn each_component_is_quantity_times_price_rounded_half_up() {
    let found = amounts(&pay_per_use(), &usage(40_501, 2_389, 300));
    let expected = [
        ("FLAT", "1", 100),
        // 40.501 km x 0.29 = 11.74529
        ("DISTANCE", "40.501", 1_175),
        // 2389 s x 4.80/h = 3.18533…
        ("TIME", "0.663611", 319),
        ("IDLE", "0.083333", 50),
    ];
    assert_eq!(found, expected.map(|(c, q, a)| (c, q.to_owned(), a)));
}

#[test]
fn half_a_cent_rounds_up_and_just_below_down() {
    let t = terms(serde_json::json!({ "name": "x", "currency": "EUR", "tax_percent": "0",
        "elements": [{ "components": [{ "type": "DISTANCE", "price": "0.10" }] }] }));
    assert_eq!(amounts(&t, &usage(50, 0, 0))[0].2, 1);
    assert_eq!(alone(&t, &usage(49, 0, 0)).unwrap()[0].amount_minor, 0);
    assert_eq!(tax_minor(10, Decimal::from(25)), Ok(3));
    assert_eq!(tax_minor(-10, Decimal::from(25)), Ok(-3));
    assert_eq!(tax_minor(9, Decimal::from(25)), Ok(2));
}

#[test]
fn a_currency_without_minor_units_rounds_to_whole_ones() {
    let t = terms(serde_json::json!({ "name": "x", "currency": "JPY", "tax_percent": "10",
        "elements": [{ "components": [{ "type": "DISTANCE", "price": "30" }] }] }));
    assert_eq!(amounts(&t, &usage(12_345, 0, 0)), [("DISTANCE", "12.345".to_owned(), 370)]);
}

#[test]
fn quantities_step_up_and_nothing_stays_nothing() {
    let t = terms(serde_json::json!({ "name": "x", "currency": "EUR", "tax_percent": "0",
        "elements": [{ "components": [
            { "type": "DISTANCE", "price": "1.00", "step_size": 1000 },
            { "type": "IDLE", "price": "6.00", "step_size": 60 }] }] }));
    assert_eq!(
        amounts(&t, &usage(1_001, 0, 61)),
        [("DISTANCE", "2".into(), 200), ("IDLE", "0.033333".into(), 20)]
    );
    assert!(alone(&t, &usage(0, 100, 0)).unwrap().is_empty());
}

#[test]
fn the_first_element_that_applies_prices_a_type() {
    let t = terms(serde_json::json!({ "name": "x", "currency": "EUR", "tax_percent": "0",
        "elements": [
            { "components": [{ "type": "DISTANCE", "price": "1.00" }], "restrictions": { "max_distance_m": 10000 } },
            { "components": [{ "type": "DISTANCE", "price": "0.50" }, { "type": "FLAT", "price": "2" }] }] }));
    assert_eq!(
        amounts(&t, &usage(9_999, 0, 0)),
        [("FLAT", "1".into(), 200), ("DISTANCE", "9.999".into(), 1_000)]
    );
    assert_eq!(
        amounts(&t, &usage(10_000, 0, 0)),
        [("FLAT", "1".into(), 200), ("DISTANCE", "10".into(), 500)]
    );
}

#[test]
fn a_night_price_holds_over_midnight_in_its_zone() {
    let t = terms(serde_json::json!({ "name": "x", "currency": "EUR", "tax_percent": "0",
        "elements": [
            { "components": [{ "type": "FLAT", "price": "9" }],
              "restrictions": { "start_time": "22:00", "end_time": "06:00", "time_zone": "Europe/Copenhagen" } },
            { "components": [{ "type": "FLAT", "price": "5" }] }] }));
    let at = |text: &str| TripUsage { start_time: Timestamp::parse(text).unwrap(), ..usage(1, 1, 0) };
    for (time, amount) in [
        ("2026-07-01T19:59:59Z", 500),
        ("2026-07-01T20:00:00Z", 900),
        ("2026-07-02T03:59:59Z", 900),
        ("2026-07-02T04:00:00Z", 500),
        ("2026-12-01T20:30:00Z", 500),
        ("2026-12-01T21:00:00Z", 900),
    ] {
        assert_eq!(amounts(&t, &at(time))[0].2, amount, "{time}");
    }
}

#[test]
fn least_and_highest_price_become_a_line_of_their_own() {
    let mut t = pay_per_use();
    t.min_price = Some(Decimal::new(500, 2));
    t.max_price = Some(Decimal::new(2000, 2));
    assert_eq!(amounts(&t, &usage(1_000, 0, 0)).last().unwrap(), &("MINIMUM", "1".to_owned(), 371));
    assert_eq!(amounts(&t, &usage(100_000, 0, 0)).last().unwrap(), &("MAXIMUM", "1".to_owned(), -1_000));
    assert_eq!(alone(&t, &usage(100_000, 0, 0)).unwrap().iter().map(|r| r.amount_minor).sum::<i64>(), 2_000);
}

#[test]
fn figures_out_of_bounds_are_refused_not_billed() {
    assert!(matches!(
        alone(&pay_per_use(), &usage(-1, 0, 0)),
        Err(RatingError::OutOfBounds { value: -1, .. })
    ));
    assert!(alone(&pay_per_use(), &usage(i64::MAX, 0, 0)).is_err());
}

#[test]
fn bad_tariffs_have_every_fault_named() {
    let bad: TariffTerms = serde_json::from_value(serde_json::json!({
        "name": " ", "currency": "EURO", "tax_percent": "101",
        "elements": [{ "components": [
            { "type": "FLAT", "price": "-1" }, { "type": "FLAT", "price": "1", "step_size": 0 },
            { "type": "MINIMUM", "price": "1.1234567" }],
            "restrictions": { "min_distance_m": 5, "max_distance_m": 5, "start_time": "7:30", "time_zone": "Mars" } }],
        "min_price": "2", "max_price": "1",
    }))
    .unwrap();
    let message = bad.check().unwrap_err().to_string();
    for field in [
        "name:",
        "currency:",
        "tax_percent:",
        "components[0].price:",
        "components[1].type:",
        "components[1].step_size:",
        "components[2].type:",
        "components[2].price:",
        "restrictions.max_distance_m:",
        "restrictions.start_time:",
        "restrictions.time_zone:",
        "min_price:",
    ] {
        assert!(message.contains(field), "{field} in {message}");
    }
}

fn any_terms() -> impl Strategy<Value = TariffTerms> {
    let price = (0_i64..10_000_000, 0_u32..5).prop_map(|(n, scale)| Decimal::new(n, scale));
    let kinds = [ComponentType::Flat, ComponentType::Distance, ComponentType::Time, ComponentType::Idle];
    let parts = prop::collection::vec((price, 1_i64..5_000), 4..=4).prop_map(move |prices| {
        let priced = kinds.into_iter().zip(prices);
        priced
            .map(|(component, (price, step_size))| PriceComponent {
                component,
                price,
                step_size,
                tiers: None,
            })
            .collect()
    });
    (parts, prop::option::of(0_i64..5_000), prop::option::of(5_000_i64..50_000)).prop_map(
        |(components, least, most)| TariffTerms {
            name: "any".to_owned(),
            currency: "EUR".to_owned(),
            time_zone: None,
            tax_percent: Decimal::from(25),
            elements: vec![Element { components, restrictions: Restrictions::default() }],
            min_price: least.map(|n| Decimal::new(n, 2)),
            max_price: most.map(|n| Decimal::new(n, 2)),
            booking_kept_percent: None,
        },
    )
}

fn total(terms: &TariffTerms, usage: &TripUsage) -> i64 {
    alone(terms, usage).unwrap().iter().map(|r| r.amount_minor).sum()
}

proptest! {
    #[test]
    fn a_longer_trip_never_costs_less(
        terms in any_terms(), distance in 0_i64..2_000_000, more in 0_i64..100_000,
        duration in 0_i64..200_000, idle in 0_i64..100_000,
    ) {
        let shorter = total(&terms, &usage(distance, duration, idle));
        prop_assert!(shorter <= total(&terms, &usage(distance + more, duration, idle)));
        prop_assert!(shorter <= total(&terms, &usage(distance, duration + more, idle)));
    }

    #[test]
    fn a_trip_never_costs_less_than_nothing_and_stays_in_its_bounds(
        terms in any_terms(), distance in 0_i64..2_000_000, duration in 0_i64..200_000, idle in 0_i64..100_000,
    ) {
        let total = total(&terms, &usage(distance, duration, idle));
        prop_assert!(total >= 0);
        if let Some(most) = terms.max_price {
            prop_assert!(Decimal::new(total, 2) <= most);
        }
        if let Some(least) = terms.min_price {
            prop_assert!(Decimal::new(total, 2) >= least);
        }
    }

    #[test]
    fn an_amount_is_within_half_a_cent_of_the_exact_product(distance in 0_i64..2_000_000, price in 0_i64..100_000) {
        let mut terms = pay_per_use();
        terms.elements[0].components = vec![PriceComponent {
            component: ComponentType::Distance, price: Decimal::new(price, 4), step_size: 1, tiers: None,
        }];
        let exact = Decimal::from(distance) * Decimal::new(price, 4) / Decimal::from(10);
        let rounded = Decimal::from(total(&terms, &usage(distance, 0, 0)));
        prop_assert!((rounded - exact).abs() <= Decimal::new(5, 1));
    }
}

fn tiered(tiers: serde_json::Value) -> TariffTerms {
    terms(serde_json::json!({ "name": "x", "currency": "EUR", "tax_percent": "0",
        "elements": [{ "components": [{ "type": "DISTANCE", "tiers": tiers }] }] }))
}

fn graduated() -> TariffTerms {
    tiered(serde_json::json!({ "mode": "graduated", "steps": [
        { "up_to": "100", "price": "0.40" }, { "up_to": "1000", "price": "0.30" }, { "price": "0.205" }] }))
}

fn month_minor(terms: &TariffTerms, distances_m: &[i64]) -> i64 {
    let trips: Vec<TripUsage> = distances_m.iter().map(|d| usage(*d, 0, 0)).collect();
    rate_all(terms, &trips).unwrap()
}

#[test]
fn tiers_price_the_month() {
    let volume = tiered(serde_json::json!({ "mode": "volume", "steps": [
        { "up_to": "100", "price": "0.40" }, { "price": "0.30", "flat_price": "2" }] }));
    let package = tiered(serde_json::json!({ "mode": "package", "size": "100", "price": "25" }));
    for (distance_m, by_tier, by_volume, by_package) in [
        (0, 0, 0, 0),
        (1, 0, 0, 2_500),
        (100_000, 4_000, 4_000, 2_500),
        (100_001, 4_000, 3_200, 5_000),
        (200_000, 7_000, 6_200, 5_000),
        (1_000_000, 31_000, 30_200, 25_000),
        (1_100_000, 33_050, 33_200, 27_500),
    ] {
        assert_eq!(month_minor(&graduated(), &[distance_m]), by_tier, "{distance_m} graduated");
        assert_eq!(month_minor(&volume, &[distance_m]), by_volume, "{distance_m} volume");
        assert_eq!(month_minor(&package, &[distance_m]), by_package, "{distance_m} package");
    }
    // The second trip reaches the next tier: the month is cheaper, and this trip pays back.
    let mut rest = MonthRest::new();
    rest.insert(ComponentType::Distance, MonthFigures { base: 100_000, amount_minor: 4_000 });
    let rated = rate(&volume, &usage(1_000, 0, 0), &rest).unwrap();
    assert_eq!(rated[0].amount_minor, 3_230 - 4_000);
    assert_eq!(rated[0].month.unwrap().rest.base, 100_000);
    // Taken back, a trip leaves what the others cost without it.
    rest.insert(ComponentType::Distance, MonthFigures { base: 50_000, amount_minor: 1_500 });
    assert_eq!(rate_withdrawn(&graduated(), &rest).unwrap()[0].amount_minor, 500);
}

#[test]
fn energy_and_days_of_the_week_have_their_prices() {
    let t = terms(serde_json::json!({ "name": "x", "currency": "EUR", "tax_percent": "0",
        "time_zone": "Europe/Copenhagen",
        "elements": [
            { "components": [{ "type": "ENERGY", "price": "0.10" }],
              "restrictions": { "day_of_week": ["SATURDAY", "SUNDAY"] } },
            { "components": [{ "type": "ENERGY", "price": "0.50", "step_size": 100 }] }] }));
    // Friday 22:30 in UTC is Saturday in Copenhagen's summer.
    for (time, amount) in
        [("2026-07-03T21:59:59Z", 515), ("2026-07-03T22:30:00Z", 102), ("2026-07-05T22:00:00Z", 515)]
    {
        let trip =
            TripUsage { energy_wh: 10_230, start_time: Timestamp::parse(time).unwrap(), ..usage(1, 1, 0) };
        assert_eq!(amounts(&t, &trip)[0].2, amount, "{time}");
    }
}

#[test]
fn bad_tiers_have_every_fault_named() {
    let bad: TariffTerms = serde_json::from_value(serde_json::json!({
        "name": "x", "currency": "EUR", "tax_percent": "0", "time_zone": "Mars",
        "elements": [
            { "components": [
                { "type": "FLAT", "tiers": { "mode": "package", "size": "0", "price": "1" } },
                { "type": "TIME", "price": "1", "tiers": { "mode": "volume", "steps": [
                    { "price": "1" }, { "up_to": "1.0001", "price": "-1" }] } },
                { "type": "DISTANCE", "tiers": { "mode": "graduated", "steps": [
                    { "up_to": "5", "price": "1" }, { "up_to": "5", "price": "1" }, { "price": "1" }] } }] },
            { "components": [{ "type": "DISTANCE", "price": "1" }] }],
    }))
    .unwrap();
    let message = bad.check().unwrap_err().to_string();
    for field in [
        "time_zone:",
        "components[0].tiers:",
        "components[0].tiers.size:",
        "components[1].price:",
        "components[1].tiers.steps[0].up_to:",
        "components[1].tiers.steps[1].up_to:",
        "components[1].tiers.steps[1].price:",
        "components[2].tiers.steps[1].up_to:",
        "elements[0].components[2].tiers:",
    ] {
        assert!(message.contains(field), "{field} in {message}");
    }
    let unknown = serde_json::json!({ "mode": "package", "size": "1", "price": "1", "sise": "2" });
    assert!(serde_json::from_value::<crate::billing::tiers::Tiers>(unknown).is_err());
}

/// A tariff of `docs/billing.md` and what trips of one month cost by it, one after the other.
#[derive(serde::Deserialize)]
struct Example {
    tariff: TariffTerms,
    trips: Vec<ExampleTrip>,
}

#[derive(serde::Deserialize)]
struct ExampleTrip {
    start_time: String,
    distance_m: i64,
    duration_s: i64,
    #[serde(default)]
    energy_wh: i64,
    amounts_minor: BTreeMap<String, i64>,
}

#[test]
fn the_examples_of_the_page_cost_what_it_says() {
    let page = include_str!("../../../../docs/billing.md");
    let blocks: Vec<&str> =
        page.split("```json").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let example: Example = serde_json::from_str(block).unwrap();
        example.tariff.check().unwrap();
        let mut rest = MonthRest::new();
        for trip in example.trips {
            let start_time = Timestamp::parse(&trip.start_time).unwrap();
            let used = TripUsage {
                energy_wh: trip.energy_wh,
                start_time,
                ..usage(trip.distance_m, trip.duration_s, 0)
            };
            let mut found = BTreeMap::new();
            for part in rate(&example.tariff, &used, &rest).unwrap() {
                found.insert(part.component.as_str().to_owned(), part.amount_minor);
                if let Some(share) = part.month {
                    let month = rest.entry(part.component).or_default();
                    month.base += share.base;
                    month.amount_minor += part.amount_minor;
                }
            }
            assert_eq!(found, trip.amounts_minor, "{}", trip.start_time);
        }
    }
}

fn any_tiers() -> impl Strategy<Value = TariffTerms> {
    let step = (1_i64..500, 0_i64..2_000);
    (prop::collection::vec(step, 0..5), 0_i64..2_000).prop_map(|(steps, last)| {
        let mut up_to = 0;
        let mut written: Vec<serde_json::Value> = steps
            .into_iter()
            .map(|(wide, price)| {
                up_to += wide;
                serde_json::json!({ "up_to": up_to.to_string(), "price": Decimal::new(price, 3).to_string() })
            })
            .collect();
        written.push(serde_json::json!({ "price": Decimal::new(last, 3).to_string() }));
        tiered(serde_json::json!({ "mode": "graduated", "steps": written }))
    })
}

proptest! {
    #[test]
    fn however_a_month_is_split_into_trips_graduated_tiers_cost_the_same(
        terms in any_tiers(), distances in prop::collection::vec(0_i64..400_000, 1..8),
    ) {
        let whole: i64 = distances.iter().sum();
        prop_assert_eq!(month_minor(&terms, &distances), month_minor(&terms, &[whole]));
        let mut backwards = distances;
        backwards.reverse();
        prop_assert_eq!(month_minor(&terms, &backwards), month_minor(&terms, &[whole]));
    }

    #[test]
    fn graduated_tiers_rise_without_a_jump(terms in any_tiers(), distance in 0_i64..2_000_000) {
        let here = month_minor(&terms, &[distance]);
        let next = month_minor(&terms, &[distance + 1]);
        // A metre costs at most 0.2 cents: with rounding, the next is the same or a cent more.
        prop_assert!((here..=here + 1).contains(&next), "{here} {next}");
    }

    #[test]
    fn a_split_trip_of_a_linear_tariff_costs_the_same_but_for_a_cent_a_part(
        price in 0_i64..100_000, parts in prop::collection::vec(0_i64..400_000, 1..8),
    ) {
        let mut terms = pay_per_use();
        terms.elements[0].components.retain(|c| c.component == ComponentType::Distance);
        terms.elements[0].components[0].price = Decimal::new(price, 4);
        let whole = month_minor(&terms, &[parts.iter().sum()]);
        let split = month_minor(&terms, &parts);
        let cents = i64::try_from(parts.len()).unwrap();
        prop_assert!((whole - split).abs() <= cents, "{whole} {split}");
    }
}
