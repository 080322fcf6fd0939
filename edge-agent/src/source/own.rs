//! Frames the agent makes itself, by a DBC of its own: what is no signal of a bus goes the same
//! way as what is.

use std::sync::Arc;

use wire::time::Timestamp;

use crate::{
    agent::NamedBytes,
    dbc::{Dbc, DbcError},
    decode::{CompileDbcError, Decoder},
    encode::{EncodeError, Encoder},
    frame::Frame,
};

/// The DBC of the agent's own frames.
pub(crate) fn dbc() -> NamedBytes {
    let text = include_str!("../../../configs/dbc/roadlake-agent.dbc");
    NamedBytes::new("roadlake-agent.dbc", text.as_bytes())
}

/// The map of a GNSS receiver's signals.
pub(crate) fn gnss_map() -> NamedBytes {
    NamedBytes::new("agent-gnss.toml", include_str!("../../../configs/maps/agent-gnss.toml").as_bytes())
}

/// The map of the unit's own state.
pub(crate) fn unit_map() -> NamedBytes {
    NamedBytes::new("agent-unit.toml", include_str!("../../../configs/maps/agent-unit.toml").as_bytes())
}

/// Why there are no frames of the agent's own.
#[derive(Debug, thiserror::Error)]
pub enum OwnFramesError {
    /// The agent's own DBC is damaged.
    #[error("cannot read the agent's own DBC")]
    Dbc(#[from] DbcError),
    /// The agent's own DBC makes no decoder.
    #[error("cannot compile the agent's own DBC")]
    Compile(#[from] CompileDbcError),
}

/// Makes frames of one kind of source.
#[derive(Debug)]
pub(crate) struct OwnFrames {
    encoder: Encoder,
    interface: Arc<str>,
}

impl OwnFrames {
    /// `interface` is what the frames say they are from.
    pub(crate) fn new(interface: &str) -> Result<Self, OwnFramesError> {
        let file = dbc();
        let decoder = Decoder::compile(&[Dbc::from_bytes(&file.name, &file.bytes)?])?;
        Ok(Self { encoder: Encoder::new(&decoder), interface: interface.into() })
    }

    /// A frame of physical values.
    pub(crate) fn frame(
        &self,
        time: Timestamp,
        message: &str,
        values: &[(&str, f64)],
    ) -> Result<Option<Frame>, EncodeError> {
        Ok(self.encoder.encode(message, values)?.on(Arc::clone(&self.interface), time))
    }
}

/// `1` and the value where there is one, zeros where there is none: a flag and what it is for.
pub(crate) fn flagged<'a>(flag: &'a str, name: &'a str, value: Option<f64>) -> [(&'a str, f64); 2] {
    let value = value.filter(|v| v.is_finite());
    [(flag, f64::from(u8::from(value.is_some()))), (name, value.unwrap_or(0.0))]
}
