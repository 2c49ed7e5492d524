//! Which experts a token goes to, and with what weight: a decision on the host, from the router's scores.

/// How experts are chosen.
#[derive(Clone, PartialEq, Debug)]
pub struct Routing {
    /// How many experts a token goes to.
    pub top: usize,
    /// Experts compete within their groups first, where there are such.
    pub groups: Option<Groups>,
    pub weighting: Weighting,
}

/// Experts in `count` groups of equal size, of which the `kept` with the best single experts stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Groups {
    pub count: usize,
    pub kept: usize,
}

/// What the chosen experts' probabilities become.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Weighting {
    /// They are divided by their sum.
    Normalised,
    Scaled(f32),
}

impl Routing {
    /// The experts of one token by number, lowest first, with their weights; `logits` has one a expert.
    pub fn choose(&self, logits: &[f32]) -> Vec<(usize, f32)> {
        let probabilities = softmax(logits);
        let open = self.groups.map_or_else(|| (0..logits.len()).collect(), |groups| groups.open(&probabilities));
        let mut chosen: Vec<_> = best(open, self.top, |expert| probabilities[expert]);
        chosen.sort_unstable();
        let sum: f32 = chosen.iter().map(|&expert| probabilities[expert]).sum();
        let weight = |expert: usize| match self.weighting {
            Weighting::Normalised => probabilities[expert] / (sum + 1e-20),
            Weighting::Scaled(scale) => probabilities[expert] * scale,
        };
        chosen.into_iter().map(|expert| (expert, weight(expert))).collect()
    }
}

impl Groups {
    /// The experts of the groups that stay.
    fn open(self, probabilities: &[f32]) -> Vec<usize> {
        let size = probabilities.len() / self.count;
        let strongest = |group: usize| probabilities[group * size..][..size].iter().copied().fold(0.0, f32::max);
        let kept = best((0..self.count).collect(), self.kept, strongest);
        kept.into_iter().flat_map(|group| group * size..(group + 1) * size).collect()
    }
}

/// The `count` candidates of the highest score; of equal ones, those that come first.
fn best(mut candidates: Vec<usize>, count: usize, score: impl Fn(usize) -> f32) -> Vec<usize> {
    candidates.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
    candidates.truncate(count);
    candidates
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let raised: Vec<f32> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let sum: f32 = raised.iter().sum();
    raised.into_iter().map(|raised| raised / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Softmax probabilities 0.1, 0.2, 0.3, 0.05, 0.25, 0.1.
    fn logits() -> [f32; 6] {
        [0.1f32, 0.2, 0.3, 0.05, 0.25, 0.1].map(f32::ln)
    }

    fn chosen(routing: &Routing) -> (Vec<usize>, Vec<f32>) {
        routing.choose(&logits()).into_iter().unzip()
    }

    fn near(ours: &[f32], theirs: &[f32]) {
        assert_eq!(ours.len(), theirs.len());
        ours.iter().zip(theirs).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{ours:?} is not {theirs:?}"));
    }

    #[test]
    fn the_best_experts_keep_their_probabilities() {
        let routing = Routing { top: 2, groups: None, weighting: Weighting::Scaled(2.0) };
        let (experts, weights) = chosen(&routing);
        assert_eq!(experts, [2, 4]);
        near(&weights, &[0.6, 0.5]);
    }

    #[test]
    fn normalised_weights_sum_to_one() {
        let routing = Routing { top: 3, groups: None, weighting: Weighting::Normalised };
        let (experts, weights) = chosen(&routing);
        assert_eq!(experts, [1, 2, 4]);
        near(&weights, &[0.2 / 0.75, 0.3 / 0.75, 0.25 / 0.75]);
    }

    /// Groups (0, 1), (2, 3), (4, 5): the best is (2, 3), so expert 4 is out, though it is better than expert 3.
    #[test]
    fn the_best_groups_alone_are_open() {
        let groups = Some(Groups { count: 3, kept: 1 });
        let routing = Routing { top: 2, groups, weighting: Weighting::Scaled(1.0) };
        let (experts, weights) = chosen(&routing);
        assert_eq!(experts, [2, 3]);
        near(&weights, &[0.3, 0.05]);
        let (experts, _) = chosen(&Routing { groups: Some(Groups { count: 3, kept: 2 }), ..routing });
        assert_eq!(experts, [2, 4]);
    }

    #[test]
    fn of_equal_experts_the_first_are_chosen() {
        let routing = Routing { top: 2, groups: None, weighting: Weighting::Scaled(1.0) };
        assert_eq!(routing.choose(&[0.0; 4]), [(0, 0.25), (1, 0.25)]);
    }
}
