//! How fast the parameters move: warm-up, decay, and slower lower layers.

/// Linear rise from 0 to 1 over the first `warmup` share of a training, then linear fall to 0;
/// `progress` runs from 0 to 1.
pub fn linear_warmup_decay(progress: f64, warmup: f64) -> f64 {
    if progress < warmup {
        progress / warmup
    } else {
        ((1.0 - progress) / (1.0 - warmup)).clamp(0.0, 1.0)
    }
}

/// The factor of a layer's learning rate: 1 for the top layer and `decay` less for each one
/// below it (Howard and Ruder 2018); depth 0 are the embeddings, `layers` the top.
pub fn layer_factor(depth: usize, layers: usize, decay: f64) -> f64 {
    decay.powi((layers - depth.min(layers)) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let at = |p| linear_warmup_decay(p, 0.1);
        assert_eq!((at(0.0), at(0.1), at(1.0)), (0.0, 1.0, 0.0));
        assert!((at(0.05) - 0.5).abs() < 1e-12 && (at(0.55) - 0.5).abs() < 1e-12);
        assert_eq!(linear_warmup_decay(0.0, 0.0), 1.0);
    }

    #[test]
    fn lower_layers_learn_more_slowly() {
        assert_eq!(layer_factor(6, 6, 0.9), 1.0);
        assert!((layer_factor(0, 6, 0.9) - 0.9f64.powi(6)).abs() < 1e-12);
    }
}
