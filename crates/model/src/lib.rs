//! The words of Paritas as values: stores, positions, datasets, differences, verdicts.
