//! Checks a map against DBC files and the VSS catalogue, and lays it out for lookup.

use wire::{
    catalog::{CATALOG_BYTES_MAX, ColumnDef, ValueKind},
    readings, units,
};

use super::{
    Catalog, Decoder, Entry, HashMap, MapError, MappedColumn, MappedDecoder, MessageIndex, SignalIndex,
    SignalMap, Table, TableName, Target, Unavailable, catalogue,
};
use crate::{
    collect::{FaultColumns, VinColumn},
    decode::SignalDef,
};

/// Collects the columns of all maps, and what is wrong with them.
struct Compiler<'a> {
    decoder: &'a Decoder,
    columns: Vec<(MappedColumn, ColumnDef, Target)>,
    /// Where each VSS path was mapped first.
    places: HashMap<&'static str, String>,
    faults: Vec<String>,
}

pub(super) fn compile(decoder: Decoder, maps: &[SignalMap]) -> Result<MappedDecoder, MapError> {
    let mut compiler =
        Compiler { decoder: &decoder, columns: Vec::new(), places: HashMap::new(), faults: Vec::new() };
    for map in maps {
        if map.entries.is_empty() {
            compiler
                .faults
                .push(format!("{}: it maps no signal; add a [[signal]] with dbc and vss", map.file));
        }
        for entry in &map.entries {
            let line = 1 + map.text.bytes().take(entry.span().start).filter(|b| *b == b'\n').count();
            let place = format!("{}:{line}", map.file);
            compiler.add(&place, entry.get_ref());
        }
    }
    let Compiler { columns, mut faults, .. } = compiler;
    // The columns of faults and of the VIN come last, so that they move no other.
    let fault_columns = u32::try_from(columns.len()).map(FaultColumns::starting_at).ok();
    let vin_column = fault_columns.map(|faults| VinColumn::at(faults.end_id()));
    let catalog = Catalog {
        vss_release: catalogue::VSS_RELEASE.to_owned(),
        columns: columns
            .iter()
            .map(|c| c.1.clone())
            .chain(fault_columns.into_iter().flat_map(FaultColumns::definitions))
            .chain(vin_column.map(VinColumn::definition))
            .collect(),
    };
    let bytes = catalog.encode().len();
    if bytes > CATALOG_BYTES_MAX {
        faults.push(format!(
            "its catalogue of {bytes} bytes is over the limit of {CATALOG_BYTES_MAX}; map fewer signals"
        ));
    }
    if !faults.is_empty() {
        return Err(MapError::Faults { faults });
    }
    Ok(lay_out(decoder, catalog, columns))
}

/// Sorts the targets by signal, with an index in front.
fn lay_out(
    decoder: Decoder,
    catalog: Catalog,
    columns: Vec<(MappedColumn, ColumnDef, Target)>,
) -> MappedDecoder {
    let mut is_mapped = vec![false; decoder.messages().len()];
    let mut by_signal: Vec<Vec<Target>> = vec![Vec::new(); decoder.signals().len()];
    for (column, _, target) in &columns {
        is_mapped[column.message.as_usize()] = true;
        by_signal[column.signal.as_usize()].push(*target);
    }
    let mut targets = Vec::with_capacity(columns.len());
    let mut first_target = Vec::with_capacity(by_signal.len() + 1);
    for of_signal in by_signal {
        first_target.push(u32::try_from(targets.len()).unwrap_or(u32::MAX));
        targets.extend(of_signal);
    }
    first_target.push(u32::try_from(targets.len()).unwrap_or(u32::MAX));
    MappedDecoder {
        decoder,
        catalog,
        columns: columns.into_iter().map(|c| c.0).collect(),
        first_target,
        targets,
        is_mapped,
        scratch: Vec::new(),
    }
}

impl<'a> Compiler<'a> {
    fn add(&mut self, place: &str, entry: &Entry) {
        let before = self.faults.len();
        let vss = self.vss_signal(place, entry);
        let signal = self.dbc_signal(place, &entry.dbc);
        if let Some(vss) = vss {
            if let Some(other) = self.places.get(vss.path) {
                self.faults.push(format!(
                    "{place}: {} is already mapped at {other}; keep the better source of the two",
                    vss.path
                ));
            } else {
                self.places.insert(vss.path, place.to_owned());
            }
        }
        let (Some(vss), Some((index, def))) = (vss, signal) else { return };
        let valid_when = self.valid_when(place, entry, def);
        let conversion = self.conversion(place, entry, def, vss);
        let table = self.table(place, entry, vss);
        self.check_values(place, entry, def, vss);
        let Ok(column_id) = u32::try_from(self.columns.len()) else { return };
        if self.faults.len() > before {
            return;
        }
        let is_raw = def.is_raw_i64();
        // The value by the DBC file, then the map's own factor, then the unit.
        let (own_scale, own_offset) = (entry.scale.unwrap_or(1.0), entry.offset.unwrap_or(0.0));
        let (scale, offset) = (def.scale * own_scale, def.offset * own_scale + own_offset);
        let (scale, offset) = if conversion == units::IDENTITY {
            (scale, offset)
        } else {
            (scale * conversion.scale, offset * conversion.scale + conversion.offset)
        };
        let column = MappedColumn {
            column_id,
            signal: index,
            message: def.message,
            vss,
            table,
            reading: (table == Table::Readings).then(|| readings::column_of_signal(vss.path)).flatten(),
            min_interval: entry.min_interval.map(|text| text.0),
        };
        let definition = ColumnDef {
            column_id,
            table,
            signal: vss.path.to_owned(),
            unit: vss.unit.to_owned(),
            scale: if is_raw { scale } else { 1.0 },
            offset: if is_raw { offset } else { 0.0 },
            kind: if is_raw { ValueKind::Raw } else { ValueKind::Number },
            labels: if is_raw { def.labels.clone() } else { Vec::new() },
        };
        let (min, max) = (entry.min.unwrap_or(f64::NEG_INFINITY), entry.max.unwrap_or(f64::INFINITY));
        let is_j1939 = self.decoder.message(def.message).is_j1939;
        let unavailable = Unavailable::of(def, is_j1939, entry.not_available);
        let target = Target { column_id, is_raw, scale, offset, min, max, valid_when, unavailable };
        self.columns.push((column, definition, target));
    }

    fn check_values(&mut self, place: &str, entry: &Entry, def: &SignalDef, vss: &catalogue::Signal) {
        if entry.min.zip(entry.max).is_some_and(|(min, max)| min > max) {
            self.faults.push(format!("{place}: min of {} is above its max; exchange them", entry.vss));
        }
        if entry.scale.is_some_and(|s| !s.is_finite() || s == 0.0)
            || entry.offset.is_some_and(|o| !o.is_finite())
        {
            self.faults.push(format!(
                "{place}: scale of {} must be a number other than 0 and offset a number, such as scale = -1.0",
                entry.vss
            ));
        }
        if vss.datatype.ends_with(']') || (vss.datatype == "string" && def.labels.is_empty()) {
            self.faults.push(format!(
                "{place}: {} is a {} but {} has numbers without names; give them in the DBC file's VAL_",
                vss.path, vss.datatype, entry.dbc
            ));
        }
    }

    fn vss_signal(&mut self, place: &str, entry: &Entry) -> Option<&'static catalogue::Signal> {
        let found = catalogue::signal(&entry.vss);
        if found.is_none() {
            let nearest = catalogue::nearest(&entry.vss).map_or_else(
                || "look it up in the release".to_owned(),
                |path| format!("did you mean {path}?"),
            );
            self.faults.push(format!(
                "{place}: {} is no signal of VSS {}; {nearest}",
                entry.vss,
                catalogue::VSS_RELEASE
            ));
        }
        found
    }

    fn dbc_signal(&mut self, place: &str, path: &str) -> Option<(SignalIndex, &'a SignalDef)> {
        let decoder = self.decoder;
        let Some((message, signal)) = path.split_once('.') else {
            self.faults
                .push(format!("{place}: dbc = {path:?} is not message.signal, as in \"EEC1.EngineSpeed\""));
            return None;
        };
        let mut found = decoder.find(message, signal);
        let (first, second) = (found.next(), found.next());
        drop(found);
        if let (Some(first), None) = (first, second) {
            return Some((first, decoder.signal(first)));
        }
        let fault = if second.is_some() {
            format!("{place}: {path} is in two of the DBC files; give only one of them")
        } else {
            format!("{place}: {path} is in none of the DBC files; {}", self.remedy_for(message, signal))
        };
        self.faults.push(fault);
        None
    }

    /// Where a missing DBC signal may be instead.
    fn remedy_for(&self, message: &str, signal: &str) -> String {
        let name_of = |index: MessageIndex| self.decoder.message(index).name.as_str();
        let is_alike = |def: &&SignalDef| def.name.eq_ignore_ascii_case(signal);
        if let Some(def) = self.decoder.signals().iter().find(is_alike) {
            return format!("did you mean {}.{}?", name_of(def.message), def.name);
        }
        match self.decoder.messages().iter().find(|m| m.name.eq_ignore_ascii_case(message)) {
            Some(known) => format!("message {} is in {}:{}, look there", known.name, known.file, known.line),
            None => "add the file that has it".to_owned(),
        }
    }

    fn valid_when(&mut self, place: &str, entry: &Entry, def: &SignalDef) -> Option<(SignalIndex, i64)> {
        let valid_when = entry.valid_when.as_ref()?;
        let message = self.decoder.message(def.message);
        let found = message.signals().find(|i| self.decoder.signal(*i).name == valid_when.signal);
        if found.is_none() {
            self.faults.push(format!(
                "{place}: valid_when names {}, which is no signal of message {} ({}:{})",
                valid_when.signal, message.name, message.file, message.line
            ));
        }
        found.map(|index| (index, valid_when.equals))
    }

    fn conversion(
        &mut self,
        place: &str,
        entry: &Entry,
        def: &SignalDef,
        vss: &catalogue::Signal,
    ) -> units::Conversion {
        let unit = entry.unit.as_deref().unwrap_or(&def.unit);
        units::conversion(unit, vss.unit).unwrap_or_else(|| {
            self.faults.push(format!(
                "{place}: unit {unit:?} of {} cannot become {:?} of {}; say what it is with unit = \"...\"",
                entry.dbc, vss.unit, vss.path
            ));
            units::IDENTITY
        })
    }

    fn table(&mut self, place: &str, entry: &Entry, vss: &catalogue::Signal) -> Table {
        let is_reading = readings::column_of_signal(vss.path).is_some();
        let table = match entry.table {
            Some(TableName::Signals) => Table::Signals,
            Some(TableName::Readings) if !is_reading => {
                self.faults.push(format!(
                    "{place}: the table readings has no column for {}; write table = \"signals\"",
                    vss.path
                ));
                Table::Signals
            }
            Some(TableName::Readings) => Table::Readings,
            None if is_reading => Table::Readings,
            None => Table::Signals,
        };
        if table == Table::Readings && entry.min_interval.is_some() {
            self.faults.push(format!(
                "{place}: min_interval is for signals; {} is sampled with the readings, remove it",
                vss.path
            ));
        }
        table
    }
}
