//! Conditions: what they say, and what is refused.

use super::*;

#[test]
fn conditions_compare_quantities_in_whatever_unit_they_are_written() {
    let hot = [Some(79.2), Some(110.0), Some(1.0), Some(1.0)];
    for (text, expected) in [
        ("Vehicle.Speed > 22 m/s", false),
        ("Vehicle.Speed >= 22 m/s && Vehicle.IsIgnitionOn", true),
        ("21 m/s < Vehicle.Speed", true),
        ("Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature >= 230 degF", true),
        ("Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature - 100 celsius > 10 celsius", false),
        ("abs(-Vehicle.Speed) == 79.2 km/h", true),
        ("max(Vehicle.Speed, 100 km/h) > 90 km/h", true),
        ("min(Vehicle.Speed, 100 km/h, 1 m/s) < 4 km/h", true),
        ("Vehicle.Speed * 2 > 150 km/h", true),
        ("Vehicle.Speed / 10 km/h > 7.9", true),
        ("Vehicle.Powertrain.Transmission.CurrentGear == \"First\"", true),
        ("!(Vehicle.Powertrain.Transmission.CurrentGear != \"First\")", true),
        ("changed(Vehicle.Speed) && known(Vehicle.Speed)", true),
        ("Vehicle.Speed > 1 km/h || Vehicle.Speed < 0 km/h && false", true),
        ("1 + 2 * 3 == 7 && Vehicle.IsIgnitionOn == true", true),
    ] {
        assert_eq!(says(text, hot), expected, "{text}");
    }
}

#[test]
fn what_is_unknown_decides_nothing() {
    let unknown = [None, Some(90.0), None, None];
    assert!(!says("Vehicle.Speed > 1 km/h", unknown));
    assert!(!says("!(Vehicle.Speed > 1 km/h)", unknown));
    assert!(!says("known(Vehicle.Speed)", unknown));
    let hot = "Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature > 80 celsius";
    assert!(says(&format!("Vehicle.Speed > 1 km/h || {hot}"), unknown));
    assert!(says(&format!("!(Vehicle.Speed > 1 km/h && !({hot}))"), unknown));
    assert!(!says("Vehicle.Speed / (Vehicle.Speed - Vehicle.Speed) > 1", [Some(1.0), None, None, None]));
}

#[test]
fn a_fault_names_its_column_and_a_remedy() {
    for (text, expected) in [
        ("Vehicle.Speed > 80", "column 15: Vehicle.Speed has unit \"km/h\", 80 has no unit"),
        ("Vehicle.Speed > 80 celsius", "column 15: "),
        ("Vehicle.Speed", "column 1: a condition must be true or false"),
        ("Vehicle.Sped > 1", "column 1: Vehicle.Sped is no signal of VSS"),
        ("Vehicle.Cabin.IsWindowChildLockEngaged", "add it to a map file"),
        ("true || Vehicle.IsIgnitionOn", "always true"),
        ("1 > 2", "never true"),
        ("Vehicle.Speed > 1 km/h >", "column 24: comparisons do not chain"),
        ("Vehicle.Speed > ", "column 17: expected a value instead of the end"),
        ("Vehicle.Speed + 1 celsius > 2 km/h", "column 15: "),
        ("Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature + 9 degF > 1 celsius", "write it in"),
        ("Vehicle.Speed * Vehicle.Speed > 1", "is no unit"),
        ("Vehicle.Powertrain.Transmission.CurrentGear == \"Fifth\"", "its names: Neutral, First"),
        ("Vehicle.Speed > 1 km/h for 5", "column 28: after \"for\" comes a time"),
        ("Vehicle.Speed > 1 km/h $", "'$' has no meaning"),
        ("speed > 1", "\"speed\" is neither a path"),
        ("abs(Vehicle.Speed, 1) > 1", "abs() takes one number"),
    ] {
        let message = refused(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
    assert!(refused(&"(".repeat(1000)).contains("nested deeper"));
    assert!(refused(&"-".repeat(1000)).contains("nested deeper"));
    assert!(refused(&"true && ".repeat(300)).contains("nested deeper"));
}

#[test]
fn constants_are_folded() {
    let program = condition(&parse("Vehicle.Speed > 2 * 10 m/s + 1 m/s && (1 < 2)").unwrap(), &catalog());
    assert_eq!(program.unwrap().ops.len(), 3);
}

fn expressions() -> impl Strategy<Value = Expr> {
    let expr = |kind| Expr { column: 0, kind };
    let leaf = prop_oneof![
        (0.0..1e9_f64, prop::option::of("(km/h|m/s|celsius|°C|%|percent)"))
            .prop_map(|(value, unit)| { Kind::Number { value, unit } }),
        "[ -!#-\\[\\]-~]{0,8}".prop_map(Kind::Text),
        any::<bool>().prop_map(Kind::Bool),
        Just(Kind::Signal("Vehicle.Speed".to_owned())),
    ]
    .prop_map(expr);
    let operators = prop::sample::select(vec![
        Binary::Or,
        Binary::And,
        Binary::Less,
        Binary::GreaterOrEqual,
        Binary::NotEqual,
        Binary::Add,
        Binary::Subtract,
        Binary::Divide,
    ]);
    leaf.prop_recursive(5, 40, 3, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            (prop::sample::select(vec![Unary::Negate, Unary::Not]), boxed.clone())
                .prop_map(|(o, x)| Kind::Unary(o, x)),
            (operators.clone(), boxed.clone(), boxed.clone()).prop_map(|(o, x, y)| Kind::Binary(o, x, y)),
            (prop::sample::select(Function::ALL.to_vec()), prop::collection::vec(inner, 1..4))
                .prop_map(|(f, a)| Kind::Call(f, a)),
            (boxed, 0..86_400_000_000_i64).prop_map(|(x, us)| Kind::For(x, us)),
        ]
        .prop_map(expr)
    })
}

proptest! {
    #[test]
    fn a_printed_expression_parses_to_the_same(expr in expressions()) {
        let text = expr.to_string();
        prop_assert_eq!(parse(&text).map_err(|e| format!("{e} in {text}")), Ok(expr));
    }

    #[test]
    fn any_text_is_an_expression_or_a_fault(text in "\\PC{0,80}") {
        let _ = parse(&text).and_then(|e| condition(&e, &catalog()));
    }

    #[test]
    fn any_mix_of_words_is_a_program_or_a_fault(words in prop::collection::vec(prop::sample::select(vec![
        "Vehicle.Speed", "Vehicle.IsIgnitionOn", "80", "km/h", "celsius", "&&", "||", "!", "(", ")", ",", "<",
        "==", "+", "-", "*", "/", "for", "5s", "abs", "max", "changed", "true", "\"First\"",
    ]), 0..24)) {
        if let Ok(program) = parse(&words.join(" ")).and_then(|e| condition(&e, &catalog())) {
            let known = [None; 4];
            let view = View { known: &known, now: at(0), stale_us: 1, frame: 1 };
            program.run(&view, &mut vec![None; usize::from(program.timer_count)]);
        }
    }

    #[test]
    fn any_text_is_a_set_or_a_fault(text in "\\PC{0,200}") {
        let _ = CampaignSet::parse(&text);
    }
}
