//! What the end of a request leads to.

use std::sync::Arc;

use wire::time::Timestamp;

use super::{ClearFault, Cleared, DidPoll, Identity, Poller, TAKEN_MAX, job::Job, keep, scan};
use crate::{
    faults::{FaultCode, FaultList, FaultReport, Protocol},
    frame::{FRAME_BYTES_MAX, Frame, FrameId, FrameKind},
    obd,
    uds::{self, NegativeCode, Outcome},
};

impl Poller {
    /// Takes what a control unit's request led to.
    pub(super) fn settle(&mut self, i: usize, now: Timestamp) {
        let ecu = &mut self.ecus[i];
        let Some(outcome) = ecu.client.take_outcome() else { return };
        ecu.bits_expected = 0;
        let Some(job) = ecu.job.take() else { return };
        let counts = &mut self.counts;
        let (answer, time, refusal) = match outcome {
            Outcome::Positive { answer, time } => {
                counts.positive += 1;
                ecu.note_answer();
                (Some(answer), time, None)
            }
            Outcome::Negative { code, time } => {
                counts.negative += 1;
                ecu.note_answer();
                (None, time, Some(code))
            }
            Outcome::Silent { time } => {
                if job.is_answer_due() {
                    counts.silent += 1;
                    ecu.note_silence(now);
                }
                (None, time, None)
            }
            Outcome::Failed { time, .. } => {
                counts.failed += 1;
                ecu.note_silence(now);
                (None, time, None)
            }
        };
        self.conclude(i, job, time, answer.as_deref(), refusal);
    }

    /// Takes the end of a request: its answer, or the refusal where there was one.
    fn conclude(
        &mut self,
        i: usize,
        job: Job,
        time: Timestamp,
        answer: Option<&[u8]>,
        refusal: Option<NegativeCode>,
    ) {
        let Some(ecu) = self.ecus.get_mut(i) else { return };
        match job {
            // Asked once only, so one lost answer is not to cost the identity.
            Job::Info { .. } if answer.is_none() && refusal.is_none() => ecu.ask_info_again(job, time),
            Job::Supported { base } => {
                let pids = answer.and_then(obd::parse_supported).unwrap_or_default();
                if let Some(next) = base.checked_add(0x20).filter(|next| pids.contains(next)) {
                    ecu.push_first(&[Job::Supported { base: next }]);
                }
                ecu.pids.get_or_insert_default().extend(pids);
            }
            Job::Current { pid } => match answer {
                Some(answer) => {
                    let interface = Arc::clone(&self.settings.interface);
                    let frame = obd::current_data_frame(answer, interface, time);
                    frame.into_iter().for_each(|frame| keep(&mut self.answers, frame, TAKEN_MAX));
                }
                None if refusal.is_some_and(is_lasting) => {
                    ecu.pids.iter_mut().for_each(|pids| {
                        pids.remove(&pid);
                    });
                }
                None => {}
            },
            Job::Info { info_type: 0 } => {
                for info_type in answer.and_then(obd::parse_supported).unwrap_or_default() {
                    if [obd::INFO_VIN, obd::INFO_CALIBRATION, obd::INFO_ECU_NAME].contains(&info_type) {
                        ecu.push(Job::Info { info_type });
                    }
                }
            }
            Job::Info { info_type } => {
                if let Some(texts) = answer.and_then(obd::parse_texts) {
                    let identity = Identity { ecu: ecu.name.clone(), info_type, texts };
                    keep(&mut self.identities, identity, TAKEN_MAX);
                }
            }
            Job::Did { index, .. } => {
                if let Some((answer, did)) = answer.zip(self.settings.dids.get(index)) {
                    self.counts.cut_answers +=
                        u64::from(answer.len() > usize::from(did.frames_max) * FRAME_BYTES_MAX);
                    let frames = pages(answer, did, &self.settings.interface, time);
                    frames.for_each(|frame| keep(&mut self.answers, frame, TAKEN_MAX));
                }
            }
            Job::ClearObd | Job::ClearUds => {
                let result = match (answer, refusal) {
                    (Some(_), _) => Ok(()),
                    (None, Some(code)) => Err(ClearFault::Refused(code)),
                    (None, None) => Err(ClearFault::Silent),
                };
                keep(&mut self.cleared, Cleared { ecu: ecu.name.clone(), result }, TAKEN_MAX);
                self.begin_scan(i);
            }
            Job::SupportedDtcs => {
                if let Some(codes) = answer.and_then(uds::parse_dtcs) {
                    let codes = codes.iter().map(|c| FaultCode {
                        code: c.code.to_string(),
                        status_bits: Some(u32::from(c.status)),
                        ..FaultCode::default()
                    });
                    let (ecu, codes) = (ecu.name.clone(), codes.collect());
                    let list = FaultList::Supported;
                    let report = FaultReport { time, protocol: Protocol::Uds, ecu, list, codes };
                    keep(&mut self.supported, report, TAKEN_MAX);
                }
            }
            Job::Session { .. } | Job::TesterPresent => {}
            _ => {
                scan::step(ecu, job, answer, time, &self.reader, &mut self.reports);
                let surplus = self.reports.len().saturating_sub(TAKEN_MAX);
                self.reports.drain(..surplus);
            }
        }
    }
}

/// Whether a refusal will be the same next time: service, sub-function or identifier not there
/// (ISO 14229-1 table A.1).
fn is_lasting(code: NegativeCode) -> bool {
    matches!(code.0, 0x11 | 0x12 | 0x31)
}

/// The frames of an answer to a data identifier: 64 bytes each, from the service's byte on.
fn pages<'a>(
    answer: &'a [u8],
    did: &DidPoll,
    interface: &'a Arc<str>,
    time: Timestamp,
) -> impl Iterator<Item = Frame> + 'a {
    let (first, count) = (did.frame_id.raw, did.frames_max);
    answer.chunks(FRAME_BYTES_MAX).zip((first..).take(usize::from(count))).filter_map(move |(page, raw)| {
        let kind = if page.len() > 8 { FrameKind::Fd } else { FrameKind::Data };
        let id = FrameId { raw, is_extended: true };
        Frame::new(time, Arc::clone(interface), id, kind, page)
    })
}
