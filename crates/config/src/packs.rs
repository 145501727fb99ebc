//! Check packs that are built in: objectives by tier and kind of store.

/// A pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    /// What to write into `extends`.
    pub name: &'static str,
    /// Its TOML text.
    pub text: &'static str,
}

/// All packs.
pub const PACKS: [Pack; 5] = [
    Pack { name: "checks/genai-search.toml", text: include_str!("../../../checks/genai-search.toml") },
    Pack { name: "checks/sentiment-api.toml", text: include_str!("../../../checks/sentiment-api.toml") },
    Pack { name: "checks/tiers.toml", text: include_str!("../../../checks/tiers.toml") },
    Pack { name: "checks/trading-bots.toml", text: include_str!("../../../checks/trading-bots.toml") },
    Pack { name: "checks/trading-house.toml", text: include_str!("../../../checks/trading-house.toml") },
];

/// The pack of that name, with or without `checks/` and `.toml`.
pub(crate) fn find(name: &str) -> Option<&'static Pack> {
    let bare =
        |name: &str| name.trim_start_matches("./").trim_start_matches("checks/").trim_end_matches(".toml").to_owned();
    PACKS.iter().find(|pack| bare(pack.name) == bare(name))
}
