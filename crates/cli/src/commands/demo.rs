//! `paritas demo`.

use crate::arguments::DemoArgs;
use crate::demo;
use crate::failure::{Failure, INCONCLUSIVE};
use crate::session::Session;
use std::io::{self, Write as _};

/// Runs the demo; its exit code says whether exactly the injected faults were found.
pub fn run(_: &Session, arguments: &DemoArgs) -> Result<u8, Failure> {
    let failed = |message: &str, detail: String| Failure::new("demo.failed", INCONCLUSIVE, message).detail(detail);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("cannot start the runtime", error.to_string()))?;
    let folder = arguments.dir.clone().unwrap_or_else(demo::default_folder);
    let mut out = io::stdout();
    let result = runtime.block_on(demo::run(&folder, &mut out));
    let code = result.map_err(|error| {
        failed("the demo could not be carried out", error.to_string()).hint("see `make setup` for what it needs")
    })?;
    out.flush().map_err(|error| failed("cannot write the result", error.to_string()))?;
    Ok(code)
}
