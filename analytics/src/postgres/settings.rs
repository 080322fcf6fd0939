//! `current_setting('search_path')`, which tools ask to find their way.

use std::sync::Arc;

use arrow::{
    array::{AsArray, StringArray},
    compute::cast,
    datatypes::DataType,
};
use datafusion::{
    common::exec_err,
    error::Result,
    logical_expr::{
        ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
    },
};

/// What is told of Postgres' settings; others are unknown.
const SETTINGS: [(&str, &str); 8] = [
    ("search_path", "public"),
    ("server_version", "16.6"),
    ("server_version_num", "160006"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("timezone", "Etc/UTC"),
    ("transaction_read_only", "on"),
    ("standard_conforming_strings", "on"),
];

/// The function: of one argument it fails for what is unknown, with `true` as the second it gives null.
pub(super) fn current_setting() -> ScalarUDF {
    ScalarUDF::from(CurrentSetting {
        signature: Signature::one_of(
            vec![
                TypeSignature::Exact(vec![DataType::Utf8]),
                TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean]),
            ],
            Volatility::Immutable,
        ),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CurrentSetting {
    signature: Signature,
}

impl ScalarUDFImpl for CurrentSetting {
    fn name(&self) -> &'static str {
        "current_setting"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let may_be_missing = args.args.len() > 1;
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(names) = arrays.first() else { return exec_err!("current_setting takes a name") };
        let names = cast(names, &DataType::Utf8)?;
        let mut values = Vec::with_capacity(names.len());
        for name in names.as_string::<i32>() {
            let known = name.map(|name| SETTINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)));
            match known {
                Some(None) if !may_be_missing => {
                    return exec_err!("unrecognized configuration parameter {:?}", name.unwrap_or_default());
                }
                known => values.push(known.flatten().map(|(_, value)| *value)),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(values))))
    }
}
