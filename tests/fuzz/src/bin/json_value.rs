//! JSON documents under the canonical policy: what differs only in white space is the same.
#![no_main]

use arrow_array::{RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use libfuzzer_sys::fuzz_target;
use paritas_digest::{Block, Canon, CanonColumn, CanonKind, Capacity, DigestKey, Digester, JsonPolicy, Policies};
use paritas_digest::{DigestError, Slot, Spec, Sums};
use std::sync::{Arc, OnceLock};

fn sums(text: &str) -> Result<Sums, DigestError> {
    static SPEC: OnceLock<Arc<Spec>> = OnceLock::new();
    let spec = SPEC.get_or_init(|| {
        let policies = Policies { json: JsonPolicy::Canonical, ..Policies::default() };
        let columns = vec![CanonColumn { name: "j".into(), slot: Slot::Json }];
        let canon = Canon { kind: CanonKind::Logical, columns, key_columns: 0, policies };
        Spec::new(&DigestKey::unkeyed(), "fuzz", canon).expect("a canon")
    });
    let schema = Arc::new(Schema::new(vec![Field::new("j", DataType::Utf8, true)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(vec![text]))]).expect("a batch");
    let mut digester = Digester::new(Arc::clone(spec), Capacity::for_differences(1));
    digester.add(&Block::Arrow(batch))?;
    Ok(digester.finish())
}

fuzz_target!(|text: &str| {
    if let Ok(plain) = sums(text) {
        let spaced = sums(&format!(" \n{text}\t ")).expect("white space outside of a document is allowed");
        assert!(plain == spaced);
    }
});
