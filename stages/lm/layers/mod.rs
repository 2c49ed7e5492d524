//! What families are made of: each layer hands its sites to the pass, so that every family has all of them.

pub mod activation;
pub mod attention;
pub mod block;
pub mod cache;
pub mod dense;
pub mod embed;
pub mod experts;
pub mod heads;
pub mod latent;
pub mod linear;
pub mod mask;
pub mod matrix;
pub mod mlp;
pub mod norm;
pub mod param;
pub mod project;
pub mod rope_scaling;
pub mod rotary;
pub mod routing;
pub mod scoring;
pub mod softcap;
pub mod surroundings;
