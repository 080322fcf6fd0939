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

fn usage(distance_m: i64, duration_s: i64, idle_s: i64) -> TripUsage {
    TripUsage { distance_m, duration_s, idle_s, start_time: Timestamp(0) }
}

fn amounts(terms: &TariffTerms, usage: &TripUsage) -> Vec<(&'static str, String, i64)> {
    let rated = rate(terms, usage).unwrap();
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
    assert_eq!(rate(&t, &usage(49, 0, 0)).unwrap()[0].amount_minor, 0);
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
    assert!(rate(&t, &usage(0, 100, 0)).unwrap().is_empty());
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
    assert_eq!(rate(&t, &usage(100_000, 0, 0)).unwrap().iter().map(|r| r.amount_minor).sum::<i64>(), 2_000);
}

#[test]
fn figures_out_of_bounds_are_refused_not_billed() {
    assert!(matches!(
        rate(&pay_per_use(), &usage(-1, 0, 0)),
        Err(RatingError::OutOfBounds { value: -1, .. })
    ));
    assert!(rate(&pay_per_use(), &usage(i64::MAX, 0, 0)).is_err());
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
        priced.map(|(component, (price, step_size))| PriceComponent { component, price, step_size }).collect()
    });
    (parts, prop::option::of(0_i64..5_000), prop::option::of(5_000_i64..50_000)).prop_map(
        |(components, least, most)| TariffTerms {
            name: "any".to_owned(),
            currency: "EUR".to_owned(),
            tax_percent: Decimal::from(25),
            elements: vec![Element { components, restrictions: Restrictions::default() }],
            min_price: least.map(|n| Decimal::new(n, 2)),
            max_price: most.map(|n| Decimal::new(n, 2)),
        },
    )
}

fn total(terms: &TariffTerms, usage: &TripUsage) -> i64 {
    rate(terms, usage).unwrap().iter().map(|r| r.amount_minor).sum()
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
            component: ComponentType::Distance, price: Decimal::new(price, 4), step_size: 1,
        }];
        let exact = Decimal::from(distance) * Decimal::new(price, 4) / Decimal::from(10);
        let rounded = Decimal::from(total(&terms, &usage(distance, 0, 0)));
        prop_assert!((rounded - exact).abs() <= Decimal::new(5, 1));
    }
}
