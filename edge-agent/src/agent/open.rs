//! Opens everything an agent is made of, so that what can be refused is refused first.

use std::sync::Arc;

use service::SharedClock;
use uuid::Uuid;
use wire::{
    batch::Table,
    ids::{BootId, StreamId},
    time::Timestamp,
};

use super::{
    Handle, NamedBytes, ReplaySettings, Settings, SourceSettings, StartError,
    campaigns::Campaigns,
    faults::FaultWatch,
    keys::read_signing_key,
    live::OwnFiles,
    polling::Polling,
    shared::Shared,
    watch::SourceWatch,
    worker::{Keeper, Worker},
    writer::{self, BatchWriter, Streams},
};
use crate::{
    campaign::{Desk as CampaignDesk, Spent, desk::TakesEffect, engine::Engine},
    clock::keeper::TimeKeeper,
    collect::{Collector, VinColumn},
    command::{self, Desk, DiagnosticPort, Inbox, NoDiagnostics},
    dbc::Dbc,
    decode::Decoder,
    map::{MappedDecoder, SignalMap},
    obd,
    simulate::Simulator,
    source::Source,
    spool::{CatchUp, DiskStorage, Lane, Spool},
    uplink::Uplink,
};

/// Everything opened, nothing running.
pub(super) struct Opened {
    pub(super) worker: Worker,
    pub(super) uplink: Uplink,
    pub(super) handle: Handle,
    pub(super) inbox: Option<Inbox>,
}

pub(super) fn open(settings: Settings, clock: SharedClock) -> Result<Opened, StartError> {
    let decoder = decoder(&settings)?;
    let base_catalog = decoder.catalog().clone();
    let transport = Uplink::transport(&settings.uplink)?;
    let signer = settings.uplink.signing_key_file.as_deref().map(read_signing_key).transpose()?;

    let storage = DiskStorage::open(&settings.spool_folder)?;
    let mut spool = Spool::open(Box::new(storage), settings.spool)?;
    let is_replay = matches!(settings.source, SourceSettings::Replay(_));
    let campaigns = Arc::new(CampaignDesk::open(
        settings.vehicle_id.clone(),
        base_catalog.clone(),
        &settings.campaigns,
        &settings.spool_folder,
        if is_replay { TakesEffect::NextStart } else { TakesEffect::AtOnce },
    )?);
    let plan = campaigns.plan();
    let catalog = plan.as_ref().map_or_else(|| base_catalog.clone(), |p| p.catalog().clone());
    let encoded_catalog = catalog.encode();
    let catalog_hash = wire::catalog::hash_of(&encoded_catalog);
    spool.put_catalog(catalog_hash, &encoded_catalog)?;

    let boot_id = BootId(Uuid::new_v4());
    let mut identity = catalog_hash.as_bytes().to_vec();
    if let Some(plan) = &plan {
        identity.extend_from_slice(&plan.hash().0);
    }
    let mut source = open_source(&settings, &spool, &decoder, &identity, &clock)?;
    let polling = match &settings.poll {
        Some(poll) => Polling::open(poll.clone(), &mut source.source, &decoder)?,
        None => None,
    };
    let (polling, port) = polling.unzip();
    let intervals: Vec<_> = decoder.columns().iter().map(|c| c.min_interval).collect();
    let min_interval = move |id: u32| intervals.get(id as usize).copied().flatten();
    let mut collect = settings.collect;
    if is_replay {
        // Its streams are given, by what is in them: the order of sending must not change that.
        collect.catch_up = CatchUp::OldestFirst;
    }
    let mut collector = Collector::new(&base_catalog, collect, min_interval, source.resume_after);
    if let Some(plan) = plan {
        let spent = if is_replay { Spent::default() } else { campaigns.spent() };
        collector.install(Engine::new(plan, &spent), &mut Vec::new());
    }
    let faults = FaultWatch::new(
        &base_catalog,
        decoder.decoder(),
        (&settings.j1939, settings.faults),
        source.resume_after[Lane::Diagnostics.index()],
    );

    let shared = Arc::new(Shared::new(spool));
    let vehicle_id = settings.vehicle_id;
    let desk = match settings.commands.verifier {
        Some(_) => {
            let book = command::open_book(&settings.spool_folder, &clock)?;
            let port: Arc<dyn DiagnosticPort> = match port {
                Some(port) => Arc::new(port),
                None => Arc::new(NoDiagnostics),
            };
            Desk::new(settings.commands, vehicle_id.clone(), book, port, Arc::clone(&clock))
        }
        None => None,
    };
    let (desk, inbox) = desk.unzip();
    let writer = BatchWriter::new(
        writer::Identity { vehicle_id: vehicle_id.clone(), boot_id, catalog_hash },
        source.streams,
        Arc::clone(&shared),
        (Arc::clone(&clock), source.time.clone()),
    );
    let worker = Worker {
        source: source.source,
        decoder,
        collector,
        faults,
        vin: VinColumn::of(&base_catalog),
        writer,
        keeper: source.keeper,
        time: source.time.clone(),
        watch: SourceWatch::default(),
        counted_at: Timestamp::default(),
        polling,
        shared: Arc::clone(&shared),
        clock: Arc::clone(&clock),
        campaigns: Campaigns::new(Arc::clone(&campaigns), !is_replay),
    };
    let uplink = Uplink {
        vehicle_id: vehicle_id.clone(),
        boot_id,
        campaigns: Arc::clone(&campaigns),
        settings: settings.uplink,
        signer,
        transport,
        desk: desk.clone(),
        shared: Arc::clone(&shared),
        clock: Arc::clone(&clock),
        time: source.time,
    };
    let handle =
        Handle { vehicle_id, catalog: Arc::new(catalog), shared, clock, address: None, desk, campaigns };
    Ok(Opened { worker, uplink, handle, inbox })
}

pub(crate) fn decoder(settings: &Settings) -> Result<MappedDecoder, StartError> {
    let own = match &settings.source {
        SourceSettings::Live(live) => live.own_files(),
        SourceSettings::Replay(_) | SourceSettings::Simulate(_) => OwnFiles::default(),
    };
    let dbcs = settings.dbcs.iter().chain(&own.dbcs);
    let mut dbcs: Vec<Dbc> = dbcs.map(|d| Dbc::from_bytes(&d.name, &d.bytes)).collect::<Result<_, _>>()?;
    let parse = |m: &NamedBytes| {
        let text = std::str::from_utf8(&m.bytes).map_err(|_| StartError::MapText(m.name.clone()))?;
        Ok(SignalMap::parse(&m.name, text)?)
    };
    let mut maps: Vec<SignalMap> = settings.maps.iter().map(parse).collect::<Result<_, StartError>>()?;
    for map in &own.maps {
        // What a map of the user's takes from a bus stays there.
        maps.extend(parse(map)?.yielding_to(&maps));
    }
    if settings.poll.as_ref().is_some_and(|poll| !poll.pids.is_empty()) {
        add_obd(&mut dbcs, &mut maps)?;
    }
    Ok(MappedDecoder::new(Decoder::compile(&dbcs)?, &maps)?)
}

/// What answers to OBD requests mean; signals that a map of the vehicle's own has stay its own.
fn add_obd(dbcs: &mut Vec<Dbc>, maps: &mut Vec<SignalMap>) -> Result<(), StartError> {
    let (dbc, map) = (obd::dbc(), obd::map());
    let text = std::str::from_utf8(&map.bytes).map_err(|_| StartError::MapText(map.name.clone()))?;
    maps.extend(SignalMap::parse(&map.name, text)?.yielding_to(maps));
    dbcs.push(Dbc::from_bytes(&dbc.name, &dbc.bytes)?);
    Ok(())
}

struct OpenedSource {
    source: Box<dyn Source + Send>,
    keeper: Keeper,
    time: Option<Arc<TimeKeeper>>,
    streams: Streams,
    resume_after: [Option<Timestamp>; Lane::COUNT],
}

fn open_source(
    settings: &Settings,
    spool: &Spool,
    decoder: &MappedDecoder,
    columns: &[u8],
    clock: &SharedClock,
) -> Result<OpenedSource, StartError> {
    match &settings.source {
        SourceSettings::Live(live) => {
            let folder = &settings.spool_folder;
            let time = Arc::new(TimeKeeper::open(live.clock.clone(), folder, Arc::clone(clock)));
            let streams = Lane::ALL.map(|_| StreamId(Uuid::new_v4()));
            time.enroll(&streams);
            Ok(OpenedSource {
                source: live.open(decoder.decoder(), folder, (clock, &time))?,
                keeper: Keeper::Live,
                time: Some(time),
                streams: Streams::Live(streams),
                resume_after: [None; Lane::COUNT],
            })
        }
        SourceSettings::Replay(replay) => {
            let source = replay.log.open()?;
            let content = replay.log.digest()?;
            let ids = Lane::ALL.map(|lane| replay_stream(settings, (replay, &content), columns, lane));
            Ok(OpenedSource {
                source: Box::new(source),
                keeper: Keeper::replay(replay.pace, replay.shift_to),
                time: None,
                streams: Streams::Recorded(ids),
                resume_after: [None; Lane::COUNT],
            })
        }
        SourceSettings::Simulate(simulate) => {
            let resume_after = Lane::ALL.map(|lane| spool.last_time(lane));
            let collected = [Lane::Readings, Lane::of(Table::Signals, settings.collect.catch_up)]
                .map(|lane| spool.last_time(lane));
            // A lane that has nothing yet may lack all of it.
            let resume_from = collected.iter().copied().min().flatten();
            let resumed_to = resume_after.iter().flatten().max().copied();
            let source = Simulator::new(simulate, resume_from)?;
            Ok(OpenedSource {
                source: Box::new(source),
                keeper: Keeper::simulate(simulate, resumed_to, clock.as_ref()),
                time: None,
                streams: Streams::Live(Lane::ALL.map(|_| StreamId(Uuid::new_v4()))),
                resume_after,
            })
        }
    }
}

/// The stream of a recorded log: a function of everything its batches depend on (`columns`: the
/// catalogue and the campaigns), so that a second replay makes the same ones.
fn replay_stream(
    settings: &Settings,
    (replay, content): (&ReplaySettings, &[u8]),
    columns: &[u8],
    lane: Lane,
) -> StreamId {
    let mut source = content.to_vec();
    source.extend_from_slice(columns);
    source.extend_from_slice(lane.table().name().as_bytes());
    if lane.table() == Table::Signals && lane != Lane::SIGNALS {
        source.push(lane.code());
    }
    let collect = settings.collect;
    source.extend_from_slice(&service::clock::micros(collect.batch_interval).to_le_bytes());
    source.extend_from_slice(&service::clock::micros(collect.signal_interval).to_le_bytes());
    source.extend_from_slice(&replay.shift_to.map_or(i64::MIN, |t| t.0).to_le_bytes());
    if lane == Lane::Diagnostics {
        source.extend_from_slice(format!("{:?} {:?}", settings.j1939, settings.faults).as_bytes());
    }
    StreamId::of_source(&settings.vehicle_id, &source)
}
