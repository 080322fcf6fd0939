//! Reading a control unit's codes: the lists, and what was measured when a code was set.

use serde_json::{Map, Value};
use wire::time::Timestamp;

use super::{ecu::Ecu, job::Job};
use crate::{
    faults::{FaultCode, FaultList, FaultReport, Protocol},
    obd::{self, ValueReader},
    uds::{self, DtcStatus, EXTENDED_DATA_OF_DTC, SNAPSHOT_OF_DTC},
};

/// Codes whose records are read in one scan; the rest has its turn in the next.
const RECORDS_MAX: usize = 8;
/// Values of a freeze frame that are read.
const FREEZE_VALUES_MAX: usize = 24;

/// Begins to read an OBD control unit's lists.
pub(super) fn begin_obd(ecu: &mut Ecu) {
    if ecu.scan.is_running {
        return;
    }
    ecu.scan.is_running = true;
    ecu.push(Job::Codes { service: obd::CONFIRMED_DTCS });
}

/// Begins to read a UDS control unit's codes, in the session it needs.
pub(super) fn begin_uds(ecu: &mut Ecu, session: Option<u8>, mask: u8) {
    if ecu.scan.is_running {
        return;
    }
    ecu.scan.is_running = true;
    if let Some(kind) = session {
        ecu.push(Job::Session { kind });
    }
    ecu.push(Job::Dtcs { mask });
}

/// Takes the end of a job of a scan: the answer, or `None` when there is none. Reports that are
/// whole are appended.
pub(super) fn step(
    ecu: &mut Ecu,
    job: Job,
    answer: Option<&[u8]>,
    now: Timestamp,
    reader: &ValueReader,
    reports: &mut Vec<FaultReport>,
) {
    match job {
        Job::Codes { service } => codes(ecu, service, answer, now, reports),
        Job::FreezeCode => match answer {
            Some([0x42, obd::PID_FREEZE_DTC, _frame, high, low, ..]) if [*high, *low] != [0, 0] => {
                let code = obd::dtc_text([*high, *low]);
                if ecu.scan.freeze.as_ref().is_some_and(|freeze| freeze.0 == code) {
                    finish_confirmed(ecu, reports);
                } else {
                    ecu.scan.freeze = Some((code, Map::new()));
                    ecu.push_first(&[Job::FreezeSupported]);
                }
            }
            _ => {
                ecu.scan.freeze = None;
                finish_confirmed(ecu, reports);
            }
        },
        Job::FreezeSupported => {
            let pids = answer.and_then(obd::parse_supported).unwrap_or_default();
            // The code itself was read, and 0x20 says only that there are more.
            let read = pids.into_iter().filter(|pid| *pid != obd::PID_FREEZE_DTC && reader.knows(*pid));
            let jobs: Vec<Job> = read.take(FREEZE_VALUES_MAX).map(|pid| Job::FreezeValue { pid }).collect();
            match jobs.is_empty() {
                true => finish_confirmed(ecu, reports),
                false => ecu.push_first(&jobs),
            }
        }
        Job::FreezeValue { .. } => {
            if let (Some(answer), Some((_, values))) = (answer, &mut ecu.scan.freeze) {
                reader.values(answer, &mut |name, value, unit| {
                    values.insert(format!("{name}{}", suffix(unit)), Value::from(value));
                });
            }
            let next = ecu.next_is(|job| matches!(job, Job::FreezeValue { .. }));
            if !next {
                finish_confirmed(ecu, reports);
            }
        }
        Job::Dtcs { .. } => match answer.and_then(uds::parse_dtcs) {
            Some(codes) => uds_codes(ecu, codes, now, reports),
            None => ecu.scan.is_running = false,
        },
        Job::Snapshot { code } | Job::ExtendedData { code } => {
            let sub_function =
                if matches!(job, Job::Snapshot { .. }) { SNAPSHOT_OF_DTC } else { EXTENDED_DATA_OF_DTC };
            let records = answer.and_then(|answer| uds::parse_records(answer, code));
            let of_code = ecu.scan.records.entry(code).or_default();
            if let Some(records) = records.filter(|records| !records.is_empty()) {
                let name = if sub_function == SNAPSHOT_OF_DTC { "snapshot" } else { "extended_data" };
                of_code.insert(name.to_owned(), Value::from(hex(records)));
            }
            if !ecu.next_is(|job| matches!(job, Job::Snapshot { .. } | Job::ExtendedData { .. })) {
                finish_uds(ecu, now, reports);
            }
        }
        _ => {}
    }
}

/// One of the three lists; the next is asked for, and confirmed codes wait for their freeze frame.
fn codes(ecu: &mut Ecu, service: u8, answer: Option<&[u8]>, now: Timestamp, reports: &mut Vec<FaultReport>) {
    let (list, next) = match service {
        obd::CONFIRMED_DTCS => (FaultList::Confirmed, Some(obd::PENDING_DTCS)),
        obd::PENDING_DTCS => {
            let next = (!ecu.scan.lacks_permanent).then_some(obd::PERMANENT_DTCS);
            (FaultList::Pending, next)
        }
        _ => (FaultList::Permanent, None),
    };
    let codes = answer.and_then(|answer| obd::parse_dtcs(answer, service));
    if codes.is_none() && list == FaultList::Permanent {
        // Cars before 2010 have no such list.
        ecu.scan.lacks_permanent = true;
    }
    match next {
        Some(service) => ecu.push_first(&[Job::Codes { service }]),
        None => ecu.scan.is_running = false,
    }
    let Some(codes) = codes else { return };
    let codes: Vec<FaultCode> = codes
        .into_iter()
        .map(|code| FaultCode { code: obd::dtc_text(code), ..FaultCode::default() })
        .collect();
    let report = FaultReport { time: now, protocol: Protocol::Obd, ecu: ecu.name.clone(), list, codes };
    if list != FaultList::Confirmed {
        reports.push(report);
    } else if report.codes.is_empty() {
        ecu.scan.freeze = None;
        reports.push(report);
    } else {
        ecu.scan.report = Some(report);
        ecu.push_first(&[Job::FreezeCode]);
    }
}

/// The confirmed codes, with the freeze frame on the one it is of.
fn finish_confirmed(ecu: &mut Ecu, reports: &mut Vec<FaultReport>) {
    let Some(mut report) = ecu.scan.report.take() else { return };
    if let Some((code, values)) = &ecu.scan.freeze
        && !values.is_empty()
        && let Some(of_frame) = report.codes.iter_mut().find(|c| c.code == *code)
    {
        of_frame.freeze_frame = Some(Value::Object(values.clone()).to_string());
    }
    reports.push(report);
}

fn uds_codes(ecu: &mut Ecu, codes: Vec<DtcStatus>, now: Timestamp, reports: &mut Vec<FaultReport>) {
    ecu.scan.records.retain(|code, _| codes.iter().any(|c| c.code == *code));
    let unread = codes.iter().map(|c| c.code).filter(|code| !ecu.scan.records.contains_key(code));
    let jobs: Vec<Job> = unread
        .take(RECORDS_MAX)
        .flat_map(|code| [Job::Snapshot { code }, Job::ExtendedData { code }])
        .collect();
    ecu.scan.codes = codes;
    if jobs.is_empty() {
        finish_uds(ecu, now, reports);
    } else {
        ecu.push_first(&jobs);
    }
}

/// Every code in one list by its status: failing now, else confirmed, else pending (ISO 14229-1
/// D.2).
fn finish_uds(ecu: &mut Ecu, now: Timestamp, reports: &mut Vec<FaultReport>) {
    ecu.scan.is_running = false;
    let list_of = |status: u8| {
        if status & uds::STATUS_FAILED != 0 {
            FaultList::Active
        } else if status & uds::STATUS_CONFIRMED != 0 {
            FaultList::Confirmed
        } else {
            FaultList::Pending
        }
    };
    let codes = std::mem::take(&mut ecu.scan.codes);
    for list in [FaultList::Active, FaultList::Confirmed, FaultList::Pending] {
        let of_list = codes.iter().filter(|c| list_of(c.status) == list).map(|c| FaultCode {
            code: c.code.to_string(),
            status_bits: Some(u32::from(c.status)),
            freeze_frame: ecu
                .scan
                .records
                .get(&c.code)
                .filter(|records| !records.is_empty())
                .map(|records| Value::Object(records.clone()).to_string()),
            ..FaultCode::default()
        });
        let codes = of_list.collect();
        reports.push(FaultReport { time: now, protocol: Protocol::Uds, ecu: ecu.name.clone(), list, codes });
    }
}

/// How a unit stands at the end of a name.
fn suffix(unit: &str) -> String {
    match unit {
        "" => String::new(),
        "%" => "_percent".to_owned(),
        "degC" => "_celsius".to_owned(),
        other => {
            let letters: String = other.chars().filter(char::is_ascii_alphanumeric).collect();
            format!("_{}", letters.to_lowercase())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
