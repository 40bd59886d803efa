//! The works that a report cites.

/// One work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its key in BibTeX.
    pub key: &'static str,
    /// Its name in running text.
    pub short: &'static str,
    /// The work for readers of the page.
    pub long: &'static str,
    /// Its entry.
    pub bibtex: &'static str,
}

/// All works, in order of their keys.
pub const REFERENCES: [Reference; 15] = [
    Reference {
        key: "angelopoulos2023",
        short: "Angelopoulos, Duchi and Zrnic 2023",
        long: "Angelopoulos, A. N., Duchi, J. C., Zrnic, T. (2023). PPI++: Efficient prediction-powered inference. arXiv:2311.01453.",
        bibtex: "@misc{angelopoulos2023,\n  author = {Angelopoulos, Anastasios N. and Duchi, John C. and Zrnic, Tijana},\n  title = {{PPI++}: Efficient Prediction-Powered Inference},\n  year = {2023},\n  eprint = {2311.01453},\n  archivePrefix = {arXiv}\n}",
    },
    Reference {
        key: "calderon2025",
        short: "Calderon, Reichart and Dror 2025",
        long: "Calderon, N., Reichart, R., Dror, R. (2025). The alternative annotator test for LLM-as-a-judge. arXiv:2501.10970.",
        bibtex: "@misc{calderon2025,\n  author = {Calderon, Nitay and Reichart, Roi and Dror, Rotem},\n  title = {The Alternative Annotator Test for {LLM}-as-a-Judge},\n  year = {2025},\n  eprint = {2501.10970},\n  archivePrefix = {arXiv}\n}",
    },
    Reference {
        key: "cohen1960",
        short: "Cohen 1960",
        long: "Cohen, J. (1960). A coefficient of agreement for nominal scales. Educational and Psychological Measurement 20(1), 37-46.",
        bibtex: "@article{cohen1960,\n  author = {Cohen, Jacob},\n  title = {A Coefficient of Agreement for Nominal Scales},\n  journal = {Educational and Psychological Measurement},\n  year = {1960},\n  volume = {20},\n  number = {1},\n  pages = {37--46}\n}",
    },
    Reference {
        key: "egami2023",
        short: "Egami and others 2023",
        long: "Egami, N., Hinck, M., Stewart, B. M., Wei, H. (2023). Using imperfect surrogates for downstream inference. arXiv:2306.04746.",
        bibtex: "@misc{egami2023,\n  author = {Egami, Naoki and Hinck, Musashi and Stewart, Brandon M. and Wei, Hanying},\n  title = {Using Imperfect Surrogates for Downstream Inference},\n  year = {2023},\n  eprint = {2306.04746},\n  archivePrefix = {arXiv}\n}",
    },
    Reference {
        key: "gwet2008",
        short: "Gwet 2008",
        long: "Gwet, K. L. (2008). Computing inter-rater reliability and its variance in the presence of high agreement. British Journal of Mathematical and Statistical Psychology 61(1), 29-48.",
        bibtex: "@article{gwet2008,\n  author = {Gwet, Kilem Li},\n  title = {Computing Inter-Rater Reliability and Its Variance in the Presence of High Agreement},\n  journal = {British Journal of Mathematical and Statistical Psychology},\n  year = {2008},\n  volume = {61},\n  number = {1},\n  pages = {29--48}\n}",
    },
    Reference {
        key: "haensch2025",
        short: "Haensch 2025",
        long: "Haensch, A.-C. (2025). \"It listens better than my therapist\": Exploring social media discourse on LLMs as mental health tool. arXiv:2504.12337.",
        bibtex: "@misc{haensch2025,\n  author = {Haensch, Anna-Carolina},\n  title = {\"It Listens Better Than My Therapist\": Exploring Social Media Discourse on {LLMs} as Mental Health Tool},\n  year = {2025},\n  eprint = {2504.12337},\n  archivePrefix = {arXiv}\n}",
    },
    Reference {
        key: "holm1979",
        short: "Holm 1979",
        long: "Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6(2), 65-70.",
        bibtex: "@article{holm1979,\n  author = {Holm, Sture},\n  title = {A Simple Sequentially Rejective Multiple Test Procedure},\n  journal = {Scandinavian Journal of Statistics},\n  year = {1979},\n  volume = {6},\n  number = {2},\n  pages = {65--70}\n}",
    },
    Reference {
        key: "krippendorff2018",
        short: "Krippendorff 2018",
        long: "Krippendorff, K. (2018). Content analysis: An introduction to its methodology (4th ed.). Sage.",
        bibtex: "@book{krippendorff2018,\n  author = {Krippendorff, Klaus},\n  title = {Content Analysis: An Introduction to Its Methodology},\n  edition = {4},\n  publisher = {Sage},\n  year = {2018}\n}",
    },
    Reference {
        key: "kumar2019",
        short: "Kumar, Liang and Ma 2019",
        long: "Kumar, A., Liang, P., Ma, T. (2019). Verified uncertainty calibration. arXiv:1909.10155.",
        bibtex: "@misc{kumar2019,\n  author = {Kumar, Ananya and Liang, Percy and Ma, Tengyu},\n  title = {Verified Uncertainty Calibration},\n  year = {2019},\n  eprint = {1909.10155},\n  archivePrefix = {arXiv}\n}",
    },
    Reference {
        key: "mcnemar1947",
        short: "McNemar 1947",
        long: "McNemar, Q. (1947). Note on the sampling error of the difference between correlated proportions or percentages. Psychometrika 12(2), 153-157.",
        bibtex: "@article{mcnemar1947,\n  author = {McNemar, Quinn},\n  title = {Note on the Sampling Error of the Difference between Correlated Proportions or Percentages},\n  journal = {Psychometrika},\n  year = {1947},\n  volume = {12},\n  number = {2},\n  pages = {153--157}\n}",
    },
    Reference {
        key: "passonneau2006",
        short: "Passonneau 2006",
        long: "Passonneau, R. (2006). Measuring agreement on set-valued items (MASI) for semantic and pragmatic annotation. Proceedings of LREC 2006.",
        bibtex: "@inproceedings{passonneau2006,\n  author = {Passonneau, Rebecca},\n  title = {Measuring Agreement on Set-Valued Items ({MASI}) for Semantic and Pragmatic Annotation},\n  booktitle = {Proceedings of {LREC} 2006},\n  year = {2006}\n}",
    },
    Reference {
        key: "reimers2019",
        short: "Reimers and Gurevych 2019",
        long: "Reimers, N., Gurevych, I. (2019). Sentence-BERT: Sentence embeddings using Siamese BERT-networks. arXiv:1908.10084.",
        bibtex: "@misc{reimers2019,\n  author = {Reimers, Nils and Gurevych, Iryna},\n  title = {Sentence-{BERT}: Sentence Embeddings using {Siamese} {BERT}-Networks},\n  year = {2019},\n  eprint = {1908.10084},\n  archivePrefix = {arXiv}\n}",
    },
    Reference {
        key: "rogan1978",
        short: "Rogan and Gladen 1978",
        long: "Rogan, W. J., Gladen, B. (1978). Estimating prevalence from the results of a screening test. American Journal of Epidemiology 107(1), 71-76.",
        bibtex: "@article{rogan1978,\n  author = {Rogan, Walter J. and Gladen, Beth},\n  title = {Estimating Prevalence from the Results of a Screening Test},\n  journal = {American Journal of Epidemiology},\n  year = {1978},\n  volume = {107},\n  number = {1},\n  pages = {71--76}\n}",
    },
    Reference {
        key: "wang2020",
        short: "Wang and others 2020",
        long: "Wang, W., Wei, F., Dong, L., Bao, H., Yang, N., Zhou, M. (2020). MiniLM: Deep self-attention distillation for task-agnostic compression of pre-trained transformers. arXiv:2002.10957.",
        bibtex: "@misc{wang2020,\n  author = {Wang, Wenhui and Wei, Furu and Dong, Li and Bao, Hangbo and Yang, Nan and Zhou, Ming},\n  title = {{MiniLM}: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained Transformers},\n  year = {2020},\n  eprint = {2002.10957},\n  archivePrefix = {arXiv}\n}",
    },
    Reference {
        key: "wortsman2022",
        short: "Wortsman and others 2022",
        long: "Wortsman, M., Ilharco, G., Gadre, S. Y., Roelofs, R., Gontijo-Lopes, R., Morcos, A. S., Namkoong, H., Farhadi, A., Carmon, Y., Kornblith, S., Schmidt, L. (2022). Model soups: Averaging weights of multiple fine-tuned models improves accuracy without increasing inference time. ICML 2022.",
        bibtex: "@inproceedings{wortsman2022,\n  author = {Wortsman, Mitchell and Ilharco, Gabriel and Gadre, Samir Yitzhak and Roelofs, Rebecca and Gontijo-Lopes, Raphael and Morcos, Ari S. and Namkoong, Hongseok and Farhadi, Ali and Carmon, Yair and Kornblith, Simon and Schmidt, Ludwig},\n  title = {Model Soups: Averaging Weights of Multiple Fine-Tuned Models Improves Accuracy without Increasing Inference Time},\n  booktitle = {International Conference on Machine Learning},\n  year = {2022}\n}",
    },
];

/// The entries of the works with these keys, as a BibTeX file.
pub fn bibtex<'a>(keys: impl Iterator<Item = &'a str> + Clone) -> String {
    let cited = REFERENCES.iter().filter(|work| keys.clone().any(|key| key == work.key));
    cited.map(|work| format!("{}\n", work.bibtex)).collect::<Vec<_>>().join("\n")
}

/// The work of this key.
pub fn find(key: &str) -> Option<&'static Reference> {
    REFERENCES.iter().find(|work| work.key == key)
}
