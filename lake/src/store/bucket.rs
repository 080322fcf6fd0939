//! A lake in a bucket. Its tables are deltalake's with a client of ours below: the log store is
//! the default one, whose commits are puts that fail when the version is there.

use std::sync::{Arc, Once};

use deltalake::{
    DeltaTable, DeltaTableBuilder, DeltaTableError,
    logstore::{
        LogStore, LogStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
    },
};
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, path::Path as Key};
use url::Url;

use super::{Lake, OpenLakeError, Place};
use crate::{
    location::{LakeLocation, LakeSettings},
    schema::TableKind,
};

/// Makes the default log store for `s3://`, which deltalake itself knows only with locks in
/// DynamoDB.
#[derive(Debug)]
struct ConditionalPuts;

impl LogStoreFactory for ConditionalPuts {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> Result<Arc<dyn LogStore>, DeltaTableError> {
        Ok(default_logstore(prefixed_store, root_store, location, options))
    }
}

/// deltalake's table of a client that is already there; keys never go through its own options.
pub(super) fn handle(
    lake: &LakeLocation,
    store: &Arc<dyn ObjectStore>,
    kind: TableKind,
) -> Result<DeltaTable, DeltaTableError> {
    static REGISTERED: Once = Once::new();
    let invalid = |e: url::ParseError| DeltaTableError::InvalidTableLocation(e.to_string());
    let scheme = Url::parse("s3://").map_err(invalid)?;
    REGISTERED.call_once(|| {
        logstore_factories().insert(scheme, Arc::new(ConditionalPuts));
    });
    let url = Url::parse(&format!("{lake}/{}", kind.name())).map_err(invalid)?;
    DeltaTableBuilder::from_url(url.clone())?.with_storage_backend(Arc::clone(store), url).build()
}

impl Lake {
    /// Opens a bucket, and proves that it can be written to and keeps two writers apart.
    pub(super) async fn create_bucket(
        settings: &LakeSettings,
        bucket: &str,
        prefix: &str,
    ) -> Result<Self, OpenLakeError> {
        let lake = Self::of_bucket(settings, bucket, prefix)?;
        let Place::Bucket(store, prefix) = &lake.place else { return Ok(lake) };
        let refused = |source| lake.bucket_error("write to", source);
        let probe = prefix.clone().join(format!(".write-probe-{}", uuid::Uuid::new_v4()));
        let put = |text: &'static str| store.put_opts(&probe, PutPayload::from(text), PutMode::Create.into());
        match put("1").await {
            // A retry of the client's own, after an answer was lost.
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(refused(error)),
        }
        let second = put("2").await;
        store.delete(&probe).await.map_err(refused)?;
        match second {
            Err(object_store::Error::AlreadyExists { .. }) => Ok(lake),
            Ok(_) => Err(OpenLakeError::Unconditional { location: lake.location }),
            Err(error) => Err(refused(error)),
        }
    }

    /// Opens a bucket with tables.
    pub(super) async fn open_bucket(
        settings: &LakeSettings,
        bucket: &str,
        prefix: &str,
    ) -> Result<Self, OpenLakeError> {
        let lake = Self::of_bucket(settings, bucket, prefix)?;
        for kind in TableKind::ALL {
            if lake.has_table(kind).await? {
                return Ok(lake);
            }
        }
        Err(OpenLakeError::Missing { location: lake.location })
    }

    fn of_bucket(settings: &LakeSettings, bucket: &str, prefix: &str) -> Result<Self, OpenLakeError> {
        let location = settings.location.clone();
        match settings.s3.client(bucket) {
            Ok(store) => Ok(Self { location, place: Place::Bucket(store, Key::from(prefix)) }),
            Err(source) => {
                Err(OpenLakeError::Bucket { act: "set up a client for", location, source: Box::new(source) })
            }
        }
    }

    pub(super) async fn has_log_in_bucket(
        &self,
        store: &Arc<dyn ObjectStore>,
        prefix: &Key,
        kind: TableKind,
    ) -> Result<bool, OpenLakeError> {
        let log = prefix.clone().join(kind.name()).join("_delta_log");
        match store.list(Some(&log)).next().await {
            None => Ok(false),
            Some(Ok(_)) => Ok(true),
            Some(Err(source)) => Err(self.bucket_error("read", source)),
        }
    }

    fn bucket_error(&self, act: &'static str, source: object_store::Error) -> OpenLakeError {
        OpenLakeError::Bucket { act, location: self.location.clone(), source: Box::new(source) }
    }
}
