//! Copying values to a device.

use candle_core::{Device, Result, Shape, Tensor};

/// Tensors that are made together: on a GPU, with a single copy.
#[derive(Debug, Default)]
pub struct Upload {
    parts: Vec<(Vec<f32>, Shape)>,
}

impl Upload {
    /// An empty upload.
    pub fn new() -> Self {
        Upload::default()
    }

    /// Adds a tensor; returns its number, from 0.
    pub fn add(&mut self, values: Vec<f32>, shape: impl Into<Shape>) -> usize {
        self.parts.push((values, shape.into()));
        self.parts.len() - 1
    }

    /// All tensors, in the order in which they were added.
    ///
    /// # Errors
    ///
    /// If values and shape do not fit, or the device fails.
    pub fn send(self, device: &Device) -> Result<Vec<Tensor>> {
        match device {
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => self.send_to_cuda(cuda),
            _ => self
                .parts
                .into_iter()
                .map(|(values, shape)| Tensor::from_vec(values, shape, device))
                .collect(),
        }
    }

    #[cfg(feature = "cuda")]
    fn send_to_cuda(self, device: &candle_core::CudaDevice) -> Result<Vec<Tensor>> {
        use candle_core::{Storage, op::BackpropOp};

        let (values, shapes): (Vec<Vec<f32>>, Vec<Shape>) = self.parts.into_iter().unzip();
        let (storage, starts) = crate::cuda::staging::upload(device, &values)?;
        let end = starts.iter().zip(&values).map(|(start, values)| start + values.len()).max().unwrap_or(0);
        let all = Tensor::from_storage(Storage::Cuda(storage), end, BackpropOp::none(), false);
        let view = |((start, values), shape): ((usize, &Vec<f32>), Shape)| {
            all.narrow(0, start, values.len())?.reshape(shape)
        };
        starts.into_iter().zip(&values).zip(shapes).map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_come_in_the_order_in_which_they_were_added() {
        let mut upload = Upload::new();
        assert_eq!(upload.add(vec![1.0, 2.0, 3.0, 4.0], (2, 2)), 0);
        assert_eq!(upload.add(Vec::new(), (0, 3)), 1);
        assert_eq!(upload.add(vec![5.0], 1), 2);
        let tensors = upload.send(&Device::Cpu).unwrap();
        assert_eq!(tensors[0].to_vec2::<f32>().unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(tensors[1].dims(), [0, 3]);
        assert_eq!(tensors[2].to_vec1::<f32>().unwrap(), [5.0]);
    }

    #[test]
    fn values_that_do_not_fit_their_shape_are_an_error() {
        let mut upload = Upload::new();
        upload.add(vec![1.0, 2.0, 3.0], (2, 2));
        assert!(upload.send(&Device::Cpu).is_err());
    }
}
