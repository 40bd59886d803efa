//! `confide train`: from a codebook and coded rows to a bundle.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::Device;
use clap::Args;
use serde_json::json;

use super::compute::{device, level};
use super::cross_fitting::{Crossed, cross_fit};
use super::decided::Unseen;
use super::input::InputArgs;
use super::messages::{Messages, TrainingView};
use super::process::{peak_memory, stop_flag};
use super::recipe_choice::{self, BUDGET, Paid, choose, clear, seconds, share};
use super::redact::RedactionArgs;
use super::sandbox::Sandbox;
use super::self_training::{Unlabelled, teachers, together};
use super::table::print;
use super::teachers::Teacher;
use super::training_rows::{
    Rows, coded_everywhere, data_digest, divide, examples, row_digests, usable,
};
use super::validation::{Validated, figures, precisions, score};
use super::{Global, Outcome};
use crate::bundle::{BundleWriter, Manifest, TierRows};
use crate::codebook::{Code, Codebook, hex_sha256};
use crate::corpus::{read_gold, refuse_existing};
use crate::decision::{Fitted, blend, fit_blend};
use crate::encoder::{Compute, Encoder, EncoderConfig, ModelFiles, Parameters, Pooling};
use crate::error::{Error, Kind, Result, shown};
use crate::heads::{shift_biases, shift_logits};
use crate::training::{
    Adaptation, EpochRecord, Example, Examples, Mode, Objective, Plan, Randomness, Recipe,
    RunFolder, Soup, Start, TextLogits, TrainedEncoder, fit_lexical, has_layers, initial_heads,
    reinitialised, rounded_weights, train, train_frozen,
};

/// The file that says how a training went.
pub(super) const RUN_RECORD: &str = "run.json";
/// The name of the recipe that is chosen.
const AUTO: &str = "auto";
/// Its entry for what was added to the logits of every tier's labels.
pub(super) const MARGINS: &str = "margins";

/// Trains an encoder and one head per tier on coded rows, and writes a bundle
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  confide train llm-mental-health --data split/coded.csv -o bundle\n\n\
    Rows with split = train train, those with split = validation choose the\n\
    thresholds, those with split = test are left alone. An interrupted training continues when\n\
    the same command is run again. With --folds, BUNDLE.run holds oof.csv, folds.json and the\n\
    models of the folds.\n\n\
    BUNDLE.run/log.jsonl tells of every update and every evaluation, in the fields that Hugging\n\
    Face's trainer_state.json has (step, epoch, loss, learning_rate, grad_norm, eval_...). With\n\
    --tensorboard, TensorBoard draws them, also while the training runs:\n  \
    tensorboard --logdir bundle.run"
)]
pub struct TrainArgs {
    /// A codebook file, or the name of a shipped one
    #[arg(value_name = "CODEBOOK")]
    codebook: String,
    /// The coded rows, one column per tier
    #[arg(long, value_name = "DATA", env = "CONFIDE_DATA")]
    data: PathBuf,
    /// Rows to validate on, if DATA has no split column [default: a tenth of DATA]
    #[arg(long, value_name = "FILE", env = "CONFIDE_VALIDATION")]
    validation: Option<PathBuf>,
    /// The encoder: a folder, a GGUF file, a shipped name, or a hub id in the local cache
    #[arg(long, value_name = "MODEL", env = "CONFIDE_BASE", default_value = "minilm")]
    base: String,
    /// How to train: full, quick (a third of the time), lora, frozen (in seconds), a recipe file, or
    /// auto, which tries several recipes on folds of the training rows and takes what does best
    #[arg(long, value_name = "FILE", env = "CONFIDE_RECIPE", default_value = "full")]
    recipe: String,
    /// How long --recipe auto may take on two cores, such as 15m or 1h, all trainings included: it is
    /// turned into a plan by recorded costs, not by a clock [default: 15m]
    #[arg(long, value_name = "TIME", env = "CONFIDE_BUDGET", value_parser = seconds)]
    budget: Option<f64>,
    /// The folder to write
    #[arg(short, long, value_name = "BUNDLE", env = "CONFIDE_OUTPUT")]
    output: PathBuf,
    /// Replace a bundle that exists, and discard an unfinished training
    #[arg(long, env = "CONFIDE_FORCE")]
    force: bool,
    /// Also train one model for each of K parts of the training rows, on the other parts:
    /// cross-validated figures, and codes of every row by a model that did not see it
    #[arg(long, value_name = "K", env = "CONFIDE_FOLDS", value_parser = clap::value_parser!(u64).range(2..=20))]
    folds: Option<u64>,
    /// Texts that nobody coded: models say what they think of them, and one model learns from coded
    /// and uncoded texts together (several times the time)
    #[arg(long, value_name = "CORPUS", env = "CONFIDE_UNLABELLED")]
    unlabelled: Option<PathBuf>,
    /// An encoder whose models teach what they say of the uncoded texts, such as a larger one than BASE;
    /// several teach together [default: BASE]
    #[arg(long, value_name = "MODEL", env = "CONFIDE_TEACHER", requires = "unlabelled")]
    teacher: Vec<String>,
    /// How teachers are trained: a recipe as for --recipe, but not auto [default: lora for a decoder,
    /// else as the student]
    #[arg(long, value_name = "FILE", env = "CONFIDE_TEACHER_RECIPE", requires = "teacher")]
    teacher_recipe: Option<String>,
    /// Also write an event file for TensorBoard to BUNDLE.run/tensorboard
    #[arg(long, env = "CONFIDE_TENSORBOARD")]
    tensorboard: bool,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    redaction: RedactionArgs,
}

/// A training as a command asks for it.
pub(super) struct Request<'a> {
    pub codebook: &'a Codebook,
    pub rows: Rows,
    pub base: &'a str,
    pub recipe: &'a Recipe,
    pub output: &'a Path,
    pub force: bool,
    pub seed: u64,
    pub device: &'a Device,
    /// Parts of the training rows that get a model each, if any.
    pub folds: Option<usize>,
    /// Seconds to choose a recipe in; the recipe given is then only what all have in common.
    pub budget: Option<f64>,
    /// Texts that nobody coded, if any are used.
    pub unlabelled: Option<&'a Unlabelled>,
    /// What the encoder begins with, where that is neither as it is nor learnt here.
    pub adapted: Option<&'a Parameters>,
    /// Whether TensorBoard's event file is written.
    pub tensorboard: bool,
}

pub fn run(args: &TrainArgs, global: &Global, sandbox: &Sandbox) -> Result<Outcome> {
    let messages = Messages::new(global);
    refuse_existing(&args.output, args.force || RunFolder::of(&args.output).replaces())?;
    let codebook = Codebook::find(&args.codebook)?;
    let is_auto = args.recipe == AUTO;
    let recipe = if is_auto { Recipe::default() } else { Recipe::find(&args.recipe)? };
    if args.budget.is_some() && !is_auto {
        return Err(Error::usage("only --recipe auto has a budget")
            .at("--budget")
            .advise("leave it out, or add --recipe auto"));
    }
    if args.unlabelled.is_some() && is_auto {
        return Err(Error::usage(
            "a recipe is chosen among those that learn from coded rows alone",
        )
        .at("--unlabelled")
        .advise("choose first, then train with --recipe BUNDLE.run/recipe.toml --unlabelled"));
    }
    let options = args.redaction.apply(args.input.options())?;
    if args.tensorboard && recipe.mode == Mode::Frozen {
        messages.warn("heads alone are fitted at once: nothing is written for TensorBoard");
    }
    let table = usable(read_gold(&args.data, &codebook, &options, None)?, &messages)?;
    let rows = match &args.validation {
        Some(_) if table.has_split => {
            return Err(Error::usage(
                "the data has a split column; --validation would contradict it",
            )
            .at(args.data.display().to_string())
            .advise("leave --validation out, or take the column out"));
        }
        Some(file) => Rows {
            train: table.rows,
            validation: usable(read_gold(file, &codebook, &options, None)?, &messages)?.rows,
        },
        None => divide(table, &codebook, global.seed, &messages)?,
    };
    if args.unlabelled.is_some() && recipe.mode == Mode::Frozen {
        return Err(Error::usage("heads on a frozen encoder do not learn from uncoded texts")
            .at("--unlabelled")
            .advise("leave it out, or train with --recipe full"));
    }
    let unlabelled = match &args.unlabelled {
        Some(file) => {
            let mut texts =
                Unlabelled::read(file, &options, &rows, &recipe, global.seed, &messages)?;
            texts.teachers = Teacher::all(&args.teacher, args.teacher_recipe.as_deref(), &recipe)?;
            Some(texts)
        }
        None => None,
    };
    let device = device(global, &messages)?;
    let request = Request {
        codebook: &codebook,
        rows,
        base: &args.base,
        recipe: &recipe,
        output: &args.output,
        force: args.force,
        seed: global.seed,
        device: &device,
        folds: args.folds.map(|count| count as usize),
        budget: is_auto.then(|| args.budget.unwrap_or(BUDGET)),
        unlabelled: unlabelled.as_ref(),
        adapted: None,
        tensorboard: args.tensorboard,
    };
    train_bundle(request, messages, sandbox, &*stop_flag()?)?;
    Ok(Outcome::Done)
}

/// Trains and writes the bundle; continues an unfinished training of the same plan.
pub(super) fn train_bundle(
    request: Request,
    messages: Messages,
    sandbox: &Sandbox,
    stop: &AtomicBool,
) -> Result<()> {
    let started = Instant::now();
    let mut request = request;
    let Request { codebook, ref rows, base, recipe, output, force, seed, device, folds, .. } =
        request;
    let compute =
        Compute { device: device.clone(), precision: recipe.precision, ..Compute::default() };
    let run = RunFolder::of(output);
    let files = ModelFiles::find(base)?;
    let config = files.config()?;
    if config.causal() && recipe.pooling == Pooling::Cls {
        return Err(Error::usage("the first token of this encoder has seen no other")
            .at("the recipe: pooling")
            .advise("pooling = \"last\" or \"mean\""));
    }
    has_layers(&config, recipe.reinitialised_layers)?;
    let mut parameters = files.parameters(&config)?;
    let tokens = files.tokens(&config, recipe.cut())?;
    let examples = examples(rows, &tokens, &messages)?;
    coded_everywhere(codebook, &examples)?;
    let plan = Plan {
        version: env!("CARGO_PKG_VERSION").into(),
        seed,
        recipe: hex_sha256(
            match request.budget {
                None => recipe.resolved()?,
                Some(budget) => recipe_choice::resolved(budget)?,
            }
            .as_bytes(),
        ),
        data: data_digest(rows),
        codebook: codebook.digest(),
        base: files.digest(),
        kernel: level(&compute),
        folds,
        unlabelled: request.unlabelled.map(|texts| texts.digest.clone()),
        teachers: match request.unlabelled {
            Some(texts) => Teacher::digest(&texts.teachers)?,
            None => None,
        },
    };
    let paid = match request.budget {
        Some(budget) => Some(Paid::by(share(budget, folds), &config, &examples.train)?),
        None => None,
    };
    if force && run.path().is_file() {
        std::fs::remove_file(run.path()).map_err(|e| Error::writing(run.path(), &e))?;
    }
    let _alone = run.lock()?;
    // Only now, when it is known that the training can begin.
    if force {
        run.clear(output.symlink_metadata().is_ok())?;
    }
    run.open(&plan)?;
    run.write("rows.json", &row_digests(&plan, rows)?)?;
    let adapted = match (request.adapted, request.unlabelled) {
        (None, Some(texts)) if recipe.adaptation_epochs > 0 => {
            let own = adaptation_run(&run);
            own.open(&plan)?;
            let adaptation = Adaptation {
                codebook,
                config: &config,
                parameters: &parameters,
                recipe,
                randomness: Randomness::new(seed),
                run: &own,
                compute: &compute,
            };
            Some(texts.adapted(&adaptation, &tokens, messages, stop)?)
        }
        _ => None,
    };
    request.adapted = request.adapted.or(adapted.as_ref());
    let crossed = match folds {
        Some(count) => Some(cross_fit(&request, count, &run, messages, sandbox, stop)?),
        None => None,
    };
    let choice = match &paid {
        Some(paid) => Some(choose(&request, paid, &run, messages, sandbox, stop)?),
        None => None,
    };
    let recipe = choice.as_ref().map_or(recipe, |(_, own)| own);
    run.write("recipe.toml", recipe.resolved()?.as_bytes())?;
    let taught = match request.unlabelled {
        Some(texts) => texts.taught(&request, &tokens, &run, messages, sandbox, stop)?,
        None => Vec::new(),
    };
    if let Some(adapted) = request.adapted {
        parameters = adapted.clone();
    }
    messages.note(&format!(
        "training on {} rows, validating on {}, encoder {base}, {} threads",
        examples.train.len(),
        examples.validation.len(),
        rayon::current_num_threads(),
    ));
    let gold = codes(&examples.validation);
    let fitting = Fitting {
        codebook,
        config: &config,
        parameters: &parameters,
        recipe,
        seed,
        compute: &compute,
        plan: &plan,
        tensorboard: request.tensorboard,
    };
    let fitted = match recipe.mode {
        Mode::Frozen => fitting.frozen(&examples),
        Mode::Full | Mode::Lora => fitting.full(&examples, &taught, &gold, &run, messages, stop),
    };
    let mut result = fitted.inspect_err(|error| {
        if matches!(error.kind(), Kind::Model | Kind::Data) {
            run.discard_unbegun();
        }
    })?;
    if stop.load(Ordering::Relaxed) && recipe.mode == Mode::Frozen {
        return Err(Error::interrupted("stopped before the bundle was written")
            .at(output.display().to_string())
            .advise("the same command begins anew; it takes seconds"));
    }
    join_lexical(codebook, &examples, &gold, recipe, &mut result)?;
    let weights =
        (recipe.mode != Mode::Frozen).then(|| recipe.label_weights(codebook, &examples.train));
    let validation = &result.validation;
    let crossed_rows = crossed.as_ref();
    let unseen =
        Unseen::new(codebook, validation, &gold, crossed_rows, &rows.validation, request.seed);
    let Fitted { margins, decisions } =
        unseen.decide(codebook, weights.as_ref(), recipe.review_risk, &messages);
    if let Some(margins) = &margins {
        let by = |tier: usize, label: usize| margins[tier][label];
        shift_logits(&mut result.validation, by);
        shift_biases(codebook, &mut result.heads, by)?;
    }
    let encoder = match &result.encoder {
        Some(TrainedEncoder::Full(trained)) => trained.clone(),
        Some(TrainedEncoder::Adapter(adapter)) => adapter.merge(&parameters)?,
        None => parameters.clone(),
    };
    // An adapter's bundle stays small: its weights are rounded when they are loaded.
    let rounded = match recipe.mode {
        Mode::Lora => None,
        Mode::Full | Mode::Frozen => rounded_weights(&config, &encoder, &examples.train)?,
    };
    let validated = Validated {
        codebook,
        config: &config,
        encoder,
        rounded: rounded.as_ref(),
        heads: &result.heads,
        recipe,
        decisions: &decisions,
        rows: &examples.validation,
        gold: &gold,
        logits: &result.validation,
    };
    let manifest = Manifest {
        format: 1,
        codebook_name: format!("{} {}", codebook.name, codebook.version),
        codebook: codebook.digest(),
        base: base_name(base),
        pooling: recipe.pooling,
        heads: recipe.head_shape(),
        max_tokens: tokens.cut().longest,
        window_stride: tokens.cut().stride,
        recipe: serde_json::to_value(recipe)
            .map_err(|e| Error::resource(format!("the recipe cannot be recorded: {e}")))?,
        plan,
        train_rows: examples.train.len(),
        validation_rows: examples.validation.len(),
        rows: TierRows::count(codebook, &codes(&examples.train), &gold),
        epochs: result.history,
        members: result.members,
        best_epoch: result.best,
        precisions: precisions(&validated)?,
        validation: figures(codebook, &decisions, &result.validation, &gold, rows),
        cross_validation: crossed.as_ref().map(|crossed| crossed.figures.clone()),
        choice: choice.as_ref().map(|(choice, _)| choice.clone()),
        teachers: request.unlabelled.map_or_else(Vec::new, |texts| {
            texts.teachers.iter().map(|teacher| base_name(&teacher.base)).collect()
        }),
    };
    let record = json!({
        "seconds": started.elapsed().as_secs_f64(),
        "threads": rayon::current_num_threads(),
        "peak_memory_bytes": peak_memory(),
        "sandbox": sandbox.describe(),
        "in_force": sandbox.record(),
        "finished": std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or(0),
        "host": sysinfo::System::host_name().ok(),
        MARGINS: margins,
        "choice": manifest.choice,
    });
    run.write(RUN_RECORD, format!("{record:#}\n").as_bytes())?;
    let mut bundle = BundleWriter::begin(output, run.path())?;
    match result.encoder {
        Some(TrainedEncoder::Full(trained)) => bundle.encoder(&files, &trained)?,
        Some(TrainedEncoder::Adapter(adapter)) => {
            bundle.adapter(&files, &adapter, &manifest.base)?
        }
        None if files.is_plain() => bundle.base(&files)?,
        None => bundle.encoder(&files, &parameters)?,
    }
    if let Some(rounded) = &rounded {
        bundle.rounded(rounded)?;
    }
    bundle.rest(&result.heads, codebook, &decisions, &manifest)?;
    bundle.finish()?;
    run.remove_checkpoints();
    for member in 1..recipe.members() {
        member_run(&run, member).remove_checkpoints();
    }
    adaptation_run(&run).remove_checkpoints();
    clear(&run);
    // What they said is in the weights; gone or not, the bundle is whole.
    let _ = std::fs::remove_dir_all(teachers(&run));
    messages.note(&format!(
        "wrote {} in {:.0} s; what happened on the way is in {}",
        output.display(),
        started.elapsed().as_secs_f64(),
        run.path().display()
    ));
    if let Some((choice, _)) = &choice {
        print(&recipe_choice::text(choice))?;
    }
    if let Some(Crossed { table, .. }) = crossed {
        print(&format!("Cross-validated, each row by a model that did not see it:\n{table}"))?;
    }
    Ok(())
}

fn codes(examples: &[Example]) -> Vec<&[Code]> {
    examples.iter().map(|example| example.codes.as_slice()).collect()
}

struct Trained {
    encoder: Option<TrainedEncoder>,
    heads: Parameters,
    validation: TextLogits,
    members: usize,
    history: Vec<EpochRecord>,
    best: usize,
}

/// Fits lexical heads and puts them beside the encoder's, as loud as suits the validation rows,
/// of whose logits those of both become the sum.
fn join_lexical(
    codebook: &Codebook,
    examples: &Examples,
    gold: &[&[Code]],
    recipe: &Recipe,
    fitted: &mut Trained,
) -> Result<()> {
    let Some(mut lexical) = fit_lexical(codebook, examples, recipe) else { return Ok(()) };
    let own: TextLogits =
        examples.validation.iter().map(|e| lexical.logits(&lexical.vector(&e.ngrams))).collect();
    let factors = fit_blend(codebook, &fitted.validation, &own, gold);
    fitted.validation = blend(&fitted.validation, &own, &factors);
    lexical.scale(&factors);
    lexical.store(codebook, &mut fitted.heads)
}

/// What both kinds of training start from.
struct Fitting<'a> {
    codebook: &'a Codebook,
    config: &'a EncoderConfig,
    parameters: &'a Parameters,
    recipe: &'a Recipe,
    seed: u64,
    compute: &'a Compute,
    plan: &'a Plan,
    tensorboard: bool,
}

/// Where the encoder learns from uncoded texts.
fn adaptation_run(run: &RunFolder) -> RunFolder {
    RunFolder::of(&run.file("adaptation"))
}

/// Where a member of a soup is trained; the first one in the run folder itself.
fn member_run(run: &RunFolder, member: usize) -> RunFolder {
    match member {
        0 => run.clone(),
        _ => RunFolder::of(&run.file(&format!("member-{}", member + 1))),
    }
}

impl Fitting<'_> {
    /// Heads alone.
    fn frozen(&self, examples: &Examples) -> Result<Trained> {
        let parameters = self.parameters.clone().on(&self.config.tensors(), self.compute)?;
        let encoder = Encoder::new(self.config, self.recipe.pooling, &parameters)?;
        let hidden = self.config.hidden_size();
        let (heads, validation) =
            train_frozen(self.codebook, &encoder, hidden, examples, self.recipe)?;
        Ok(Trained { encoder: None, heads, validation, members: 1, history: Vec::new(), best: 0 })
    }

    /// Encoder and heads.
    fn full(
        &self,
        examples: &Examples,
        taught: &[Example],
        gold: &[&[Code]],
        run: &RunFolder,
        messages: Messages,
        stop: &AtomicBool,
    ) -> Result<Trained> {
        let randomness = Randomness::new(self.seed);
        let layers = self.recipe.reinitialised_layers;
        let parameters = &reinitialised(self.config, self.parameters, layers, randomness)?;
        let heads = initial_heads(
            self.codebook,
            self.config,
            parameters,
            examples,
            self.recipe,
            randomness,
            self.compute,
        )?;
        let (recipe, train_on) = match taught.is_empty() {
            true => (self.recipe.clone(), examples.train.clone()),
            false => (
                Recipe {
                    epochs: self.recipe.student_epochs,
                    pair_epochs: 0,
                    ..self.recipe.clone()
                },
                together(&examples.train, taught, self.recipe),
            ),
        };
        let scorer = |logits: &TextLogits| score(self.codebook, logits, gold);
        // The teachers were several already.
        let count = if taught.is_empty() { recipe.members() } else { 1 };
        let mut soup = Soup::of(count);
        for member in 0..count {
            let own = member_run(run, member);
            if member > 0 {
                own.open(self.plan)?;
                messages.note(&format!("member {} of {count}", member + 1));
            }
            let start = Start {
                codebook: self.codebook,
                config: self.config,
                parameters,
                examples: Examples { train: train_on.clone(), ..examples.clone() },
                heads: &heads,
                recipe: &recipe,
                objective: Objective::Codes,
                randomness: Randomness::new(self.seed.wrapping_add((member as u64) << 40)),
                run: &own,
                tensorboard: self.tensorboard && member == 0,
                compute: self.compute,
            };
            let mut view = TrainingView::new(messages, self.codebook);
            soup.add(train(start, &scorer, &mut view, stop)?)?;
        }
        let validation = &examples.validation;
        let trained = soup.mean(self.codebook, self.config, &recipe, self.compute, validation)?;
        Ok(Trained {
            encoder: Some(trained.encoder),
            heads: trained.heads,
            validation: trained.validation,
            members: count,
            history: trained.history,
            best: trained.best,
        })
    }
}

/// The base as the bundle names it: a shipped name or hub id, or the folder's last part.
fn base_name(base: &str) -> String {
    let path = Path::new(base);
    if !path.is_dir() {
        return base.to_owned();
    }
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
    name.filter(|n| shown(n).starts_with('\'')).unwrap_or_else(|| "a local folder".into())
}
