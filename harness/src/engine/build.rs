//! The kernels of a request, built and kept, and nothing booted.

use super::{
    Home, Request,
    check::{Sourced, sourced},
    kernels::Kernels,
};
use crate::{Result, cache::Cache, cancel::Cancel, event::Watcher, patch::Chooser, source::Ways};

/// Builds what [`super::run`] would build for this request, so that it is in the cache. A kernel that
/// does not build is no error: the run says so.
///
/// # Errors
/// Bad input, the host's faults, an interruption.
pub fn build(
    request: &Request,
    cache: &Cache,
    cancel: &Cancel,
    watcher: &dyn Watcher,
    choose: &mut Chooser<'_>,
) -> Result<()> {
    let home = Home::here();
    let ways = Ways {
        cache,
        cancel,
        watcher,
    };
    let Sourced {
        configs,
        stacks,
        subject,
        source,
        overlay,
    } = sourced(&home, request, ways, choose)?;
    // Where a build's failure is told; the run tells it again.
    let told = cache.temp()?;
    let kernels = Kernels::new(request, stacks, &subject, source, ways, told.path())?;
    let mut kernels = kernels.overlaid(overlay);
    for config in &configs {
        let base = kernels.compared_base(config)?;
        for variant in &subject.variants {
            let _built = match base {
                Ok(_) => kernels.variant(config, variant)?,
                Err(_) => kernels.without_base(config, variant)?,
            };
        }
    }
    Ok(())
}
