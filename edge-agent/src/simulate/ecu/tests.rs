use super::*;

#[test]
fn several_identifiers_are_answered_in_one_message_as_far_as_they_are_there() {
    let mut ecu = SimulatedEcu::new(EcuSettings::engine(Arc::from("can0")));
    ecu.set_did(0xF190, &[1, 2]);
    ecu.set_did(0xF1A0, &[3]);
    let mut ask = |request: &[u8]| ecu.answer(request);
    let both = vec![0x62, 0xF1, 0xA0, 3, 0xF1, 0x90, 1, 2];
    assert_eq!(ask(&[0x22, 0xF1, 0xA0, 0xF1, 0x90]), Ok(Some(both.clone())));
    assert_eq!(ask(&[0x22, 0xF1, 0xA0, 0x00, 0x01, 0xF1, 0x90]), Ok(Some(both)));
    assert_eq!(ask(&[0x22, 0x00, 0x01]), Err(NegativeCode(0x31)));
    for request in [&[0x22][..], &[0x22, 0xF1], &[0x22, 0xF1, 0xA0, 0xF1]] {
        assert_eq!(ask(request), Err(NegativeCode(0x13)));
    }
}
