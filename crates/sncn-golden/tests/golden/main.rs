//! Values that other programs computed, and what this workspace gives for the same inputs. A test whose files are not there is
//! reported as ignored, with the reason.

mod adapt;
mod augment;
mod corruptions;
mod coverage;
mod fixmatch;
mod image_gradients;
mod layers;
mod losses_optim;
mod metrics;
mod nets;
mod ops;
mod probes;
mod relative_layers;
mod schedules;
mod segment;
mod statistics;
mod text;
mod tiny;
mod weather;

use sncn_golden::{Needy, lacks, needy, run};

fn main() -> std::process::ExitCode {
    let mut tests = needy![
        "layers.json" => [
            coverage::golden_layers_all_have_a_test,
            layers::golden_statistics_norms_and_mixing,
            ops::golden_convolutions_pools_and_activations,
            relative_layers::golden_mixing_of_the_layers,
        ],
        "losses_optim.json" => [
            coverage::golden_losses_and_optimisers_all_have_a_test,
            fixmatch::golden_fixmatch_losses,
            losses_optim::golden_averaged_weights,
            losses_optim::golden_clipped_gradients,
            losses_optim::golden_losses,
            losses_optim::golden_optimisers,
            schedules::golden_schedules,
        ],
        "metrics.json" => [coverage::golden_metrics_all_have_a_test, metrics::golden_metrics],
        "nets.json" => [
            coverage::golden_networks_all_have_a_test,
            nets::golden_networks_and_training_steps,
            segment::golden_segmentation_networks_and_steps,
        ],
        "relatives.json" => [
            adapt::golden_temperatures,
            adapt::golden_tent_steps,
            adapt::golden_test_time_statistics,
            coverage::golden_relatives_all_have_a_test,
            fixmatch::golden_fixmatch_learning_rates,
            fixmatch::golden_fixmatch_steps,
            image_gradients::golden_feature_inversions,
            image_gradients::golden_noise_of_a_given_size,
            metrics::golden_errors_divided_by_those_of_alexnet,
            metrics::golden_top_k_errors,
            relative_layers::golden_norms_and_mixing_of_the_relatives,
        ],
        "text.json" => [coverage::golden_texts_all_have_a_test, text::golden_text_cases],
        "corruptions/statistics.json" => [statistics::golden_statistics],
        "corruptions/index.json" => [
            augment::golden_augmix_mixtures,
            augment::golden_augmix_operations_are_exact,
            augment::golden_randaugment_images,
            augment::golden_randaugment_operations_are_exact,
            corruptions::golden_cifar_bytes_and_floats,
            corruptions::golden_imagenet_tiles,
            corruptions::golden_kernels_and_zoom_integers,
            weather::golden_cifar_weather,
            weather::golden_imagenet_weather,
            weather::golden_intermediate_values,
        ],
    ];
    let missing = lacks(corruptions::INDEX).or_else(weather::no_textures);
    tests.push(Needy::new("weather::golden_frost_textures", weather::golden_frost_textures, missing));
    // its values lie beside it
    tests.push(Needy::new("nets::golden_efficientnet", nets::golden_efficientnet, lacks("")));
    run(tests)
}
